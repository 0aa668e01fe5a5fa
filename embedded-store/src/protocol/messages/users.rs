//! `event_store.client.users`.

/// `CreateReq` and `UpdateReq`, which are the same on the wire. An update takes no password.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct UserReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<UserOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct UserOptions {
    #[prost(string, tag = "1")]
    pub(crate) login_name: String,
    #[prost(string, tag = "2")]
    pub(crate) password: String,
    #[prost(string, tag = "3")]
    pub(crate) full_name: String,
    #[prost(string, repeated, tag = "4")]
    pub(crate) groups: Vec<String>,
}

/// `DeleteReq`, `EnableReq`, `DisableReq` and `DetailsReq`, which are the same on the wire.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LoginReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<LoginOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LoginOptions {
    #[prost(string, tag = "1")]
    pub(crate) login_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct ChangePasswordReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<ChangePasswordOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct ChangePasswordOptions {
    #[prost(string, tag = "1")]
    pub(crate) login_name: String,
    #[prost(string, tag = "2")]
    pub(crate) current_password: String,
    #[prost(string, tag = "3")]
    pub(crate) new_password: String,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct ResetPasswordReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<ResetPasswordOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct ResetPasswordOptions {
    #[prost(string, tag = "1")]
    pub(crate) login_name: String,
    #[prost(string, tag = "2")]
    pub(crate) new_password: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DetailsResp {
    #[prost(message, optional, tag = "1")]
    pub(crate) user_details: Option<UserDetails>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UserDetails {
    #[prost(string, tag = "1")]
    pub(crate) login_name: String,
    #[prost(string, tag = "2")]
    pub(crate) full_name: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) groups: Vec<String>,
    #[prost(message, optional, tag = "4")]
    pub(crate) last_updated: Option<DateTime>,
    #[prost(bool, tag = "5")]
    pub(crate) disabled: bool,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct DateTime {
    #[prost(int64, tag = "1")]
    pub(crate) ticks_since_epoch: i64,
}

/// The messages that hold a password are not printed.
macro_rules! unprinted {
    ($($message:ident),+) => {
        $(impl std::fmt::Debug for $message {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(stringify!($message))
            }
        })+
    };
}

unprinted!(
    UserReq,
    UserOptions,
    ChangePasswordReq,
    ChangePasswordOptions,
    ResetPasswordReq,
    ResetPasswordOptions
);
