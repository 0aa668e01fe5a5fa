# One image for every role: `docker run … orderstore api`, `… projector`, `… process-managers`.
# On embedded defaults: `docker run -p 4000:4000 -v data:/var/lib/orderstore … orderstore up --http-host 0.0.0.0`.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist --bin orderstore

FROM debian:bookworm-slim
# ca-certificates: the event store's client does not start without a readable certificate store.
# postgresql: only for `up` and for tests; the roles use DATABASE_URL.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates postgresql \
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/*/main \
    && useradd --system --home-dir /var/lib/orderstore --create-home orderstore
COPY --from=build /src/target/dist/orderstore /usr/local/bin/orderstore
USER orderstore
WORKDIR /var/lib/orderstore
ENV ORDERSTORE_DATA_DIR=/var/lib/orderstore
EXPOSE 4000
ENTRYPOINT ["orderstore"]
CMD ["--help"]
