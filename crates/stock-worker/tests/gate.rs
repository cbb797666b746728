//! The gate's scripts on a real Redis.

#[path = "gate/answers.rs"]
mod answers;
#[path = "gate/loading.rs"]
mod loading;
#[path = "gate/model.rs"]
mod model;
#[path = "gate/properties.rs"]
mod properties;
#[path = "gate/real.rs"]
mod real;
