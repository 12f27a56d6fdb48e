//! The pages in man: that they are whole, agree with the programs and with
//! each other, and that their examples do what they show.

mod examples;
mod mask;
mod pages;
mod runit;
mod session;
