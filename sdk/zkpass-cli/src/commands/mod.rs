//! One module per command; each turns its arguments into an answer.

pub mod attest;
pub mod demo;
pub mod dvr;
pub mod inspect;
pub mod keygen;
pub mod pages;
pub mod prove;
pub mod serve;
pub mod token;
pub mod verify;
