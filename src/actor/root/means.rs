//! What workers and upgrades are given of the house.

use std::sync::Arc;

use super::house::House;
use crate::actor::upgrade::Holdings;
use crate::actor::worker::Orders;
use crate::upstream::Neighbours;

impl House {
    /// What every worker is made from.
    pub(super) fn orders(&self) -> Orders {
        Orders {
            index: 0,
            shelf: self.shelf.clone(),
            clusters: self.clusters.clone(),
            neighbours: Neighbours::default(),
            book: self.options.book.clone(),
            arrivals: self.arrivals.clone(),
            board: self.board.clone(),
            tables: self.tables.clone(),
            numbers: Arc::clone(&self.numbers),
            admission: Arc::clone(&self.admission),
            drain_time: self.options.drain_time,
            logger: self.logger.clone(),
            log: self.options.log.clone(),
        }
    }

    /// Says by what connections from a predecessor find their places.
    pub(super) fn furnish(&self) {
        if let Some(desk) = &self.succession.desk {
            desk.furnish(Holdings {
                shelf: self.shelf.clone(),
                board: self.board.clone(),
                admission: Arc::clone(&self.admission),
                arrivals: self.arrivals.clone(),
            });
        }
    }
}
