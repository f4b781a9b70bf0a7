//! The built-in actions, answered from the table that they are in: on servers, and on clients for
//! their servers.

use crate::{
    action::{Action, Bytes, Registration},
    builtin,
    error::RegisterError,
    router::Router,
    shape::Shape,
};
use std::sync::Arc;

/// Adds them to a table.
///
/// # Errors
/// If they are there already.
pub(crate) fn register_builtins(router: &Arc<Router>) -> Result<(), RegisterError> {
    router.insert(builtin::Ping::with(|(), _| Ok(())))?;
    let table = Arc::downgrade(router);
    router.insert(builtin::Describe::with(move |after, _| {
        let all = table.upgrade().map(|router| router.registrations()).unwrap_or_default();
        let follow = all.iter().filter(|registration| *registration.info().name > *after);
        Ok(builtin::page(follow.map(Registration::describe)))
    }))?;
    let table = Arc::downgrade(router);
    router.insert(builtin::Actions::with(move |(), _| {
        let infos = table.upgrade().map(|router| router.infos()).unwrap_or_default();
        Ok(infos.into_iter().map(|info| info.name.to_owned()).collect())
    }))?;
    let table = Arc::downgrade(router);
    router.insert(builtin::ShapesOf::with(move |name, _| {
        let entry = table.upgrade().and_then(|router| router.find(name));
        let shapes = entry.and_then(|entry| entry.registration.shapes().ok());
        let encoded = |shape: Option<&Shape>| shape.map(|shape| Bytes::from(shape.encode()));
        Ok(shapes.map(|shapes| shapes.parts().map(encoded).to_vec()).unwrap_or_default())
    }))
}
