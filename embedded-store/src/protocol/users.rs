//! `Users`: who there is, and how that is changed.

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use secrecy::SecretString;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::messages::users::{
    ChangePasswordReq, DateTime, DetailsResp, LoginReq, ResetPasswordReq, UserDetails, UserReq,
};
use super::service::Responses;
use super::{Context, status};
use crate::security::Action;
use crate::security::users::{NewUser, Stored, UsersError};

pub(super) async fn create(
    context: Arc<Context>,
    request: Request<UserReq>,
) -> Result<Response<()>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::ManageUsers).await?;
    let options = request.options.unwrap_or_default();
    let login = options.login_name.clone();
    let new = NewUser {
        login_name: options.login_name,
        full_name: options.full_name,
        groups: options.groups,
        password: SecretString::from(options.password),
    };
    done(context.security.users.create(new).await, &login)
}

pub(super) async fn update(
    context: Arc<Context>,
    request: Request<UserReq>,
) -> Result<Response<()>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::ManageUsers).await?;
    let options = request.options.unwrap_or_default();
    drop(SecretString::from(options.password));
    let login = options.login_name;
    done(context.security.users.update(&login, options.full_name, options.groups).await, &login)
}

pub(super) async fn delete(
    context: Arc<Context>,
    request: Request<LoginReq>,
) -> Result<Response<()>, Status> {
    let (headers, _, request) = request.into_parts();
    let login = managed(&context, &headers, request).await?;
    done(context.security.users.delete(&login).await, &login)
}

pub(super) async fn enable(
    context: Arc<Context>,
    request: Request<LoginReq>,
) -> Result<Response<()>, Status> {
    let (headers, _, request) = request.into_parts();
    let login = managed(&context, &headers, request).await?;
    done(context.security.users.enable(&login).await, &login)
}

pub(super) async fn disable(
    context: Arc<Context>,
    request: Request<LoginReq>,
) -> Result<Response<()>, Status> {
    let (headers, _, request) = request.into_parts();
    let login = managed(&context, &headers, request).await?;
    done(context.security.users.disable(&login).await, &login)
}

pub(super) async fn reset_password(
    context: Arc<Context>,
    request: Request<ResetPasswordReq>,
) -> Result<Response<()>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::ManageUsers).await?;
    let options = request.options.unwrap_or_default();
    let (login, password) = (options.login_name, SecretString::from(options.new_password));
    done(context.security.users.reset_password(&login, &password).await, &login)
}

pub(super) async fn change_password(
    context: Arc<Context>,
    request: Request<ChangePasswordReq>,
) -> Result<Response<()>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::ChangePassword).await?;
    let options = request.options.unwrap_or_default();
    let login = options.login_name;
    let current = SecretString::from(options.current_password);
    let password = SecretString::from(options.new_password);
    done(context.security.users.change_password(&login, &current, &password).await, &login)
}

/// One user, or all of them if none is named.
pub(super) async fn details(
    context: Arc<Context>,
    request: Request<LoginReq>,
) -> Result<Response<Responses<DetailsResp>>, Status> {
    let (headers, _, request) = request.into_parts();
    let login = request.options.unwrap_or_default().login_name;
    let users = if login.trim().is_empty() {
        context.allow(&headers, Action::ManageUsers).await?;
        context.security.users.list().await.map_err(|error| status::not_read(&error.into()))?
    } else {
        context.allow(&headers, Action::ReadUser(&login)).await?;
        let found = context.security.users.find(&login).await;
        let found = found.map_err(|error| status::not_read(&error.into()))?;
        vec![found.ok_or_else(|| status::user_not_found(&login))?]
    };
    let answers = users.into_iter().map(|stored| Ok(described(stored)));
    Ok(Response::new(stream::iter(answers).boxed()))
}

fn described(stored: Stored) -> DetailsResp {
    let Stored { user, updated, .. } = stored;
    let ticks_since_epoch = i64::try_from(updated).unwrap_or(i64::MAX);
    DetailsResp {
        user_details: Some(UserDetails {
            login_name: user.login_name,
            full_name: user.full_name,
            groups: user.groups,
            last_updated: Some(DateTime { ticks_since_epoch }),
            disabled: user.disabled,
        }),
    }
}

/// The user that an administrator names.
async fn managed(
    context: &Context,
    headers: &MetadataMap,
    request: LoginReq,
) -> Result<String, Status> {
    context.allow(headers, Action::ManageUsers).await?;
    Ok(request.options.unwrap_or_default().login_name)
}

fn done(outcome: Result<(), UsersError>, login: &str) -> Result<Response<()>, Status> {
    outcome.map(Response::new).map_err(|error| match error {
        UsersError::BadLogin => status::invalid(error.to_string()),
        UsersError::NotFound => status::user_not_found(login),
        UsersError::Conflict => status::user_conflict(login),
        UsersError::WrongPassword => status::access_denied(),
        UsersError::Hashing(error) => status::not_hashed(&error),
        UsersError::Read(error) => status::not_read(&error.into()),
        UsersError::Write(error) => status::not_written(&error),
    })
}
