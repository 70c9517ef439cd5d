//! What a stream's log says about who publishes, for all who need to know
//! without following its media: [`Control`] folds the control records,
//! [`Tail`] reads the end of one log for them, [`fold_tails`] those of many,
//! [`Endings`] ends a broadcast.

mod control;
mod ending;
mod tail;
mod tails;

pub use control::{Closed, Control};
pub use ending::{EndError, EndingPlace, Endings};
pub use tail::Tail;
pub use tails::{Folded, fold_tails};
