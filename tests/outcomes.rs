//! What a failed call says about its handler is true, wherever and whenever it is cut off.

#[path = "outcomes/cuts.rs"]
mod cuts;
#[path = "outcomes/kills.rs"]
mod kills;
#[path = "outcomes/restarts.rs"]
mod restarts;
#[cfg(unix)]
#[path = "outcomes/sigterm.rs"]
mod sigterm;
