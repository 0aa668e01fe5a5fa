//! The rules of orders, told as stories: what was done before, what is wanted, what comes of it.

mod cancelling;
mod editing;
mod money;
mod placing;
mod random;
mod returning;
mod shipping;
mod shop;
mod supplying;
mod with_stock;
