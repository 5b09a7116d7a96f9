//! Running commands: what is asked for, looked up, executed and recorded.

pub mod request;
