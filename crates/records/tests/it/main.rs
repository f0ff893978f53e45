//! Record batches seen from outside.

#[cfg(test)]
mod apache;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod old_formats;
