//! The pages in man are complete and agree with the programs, with each other
//! and with the output of their examples.

mod examples;
mod mask;
mod migration;
mod pages;
mod runit;
mod session;
