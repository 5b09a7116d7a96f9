//! Which kind performs the tasks of which type.

use super::kinds::{Copy, CopyMany, Download, Explode, ExplodeGlob, FindLatest, Gzip, HelloWorld, Noop, Unzip};
use super::program::Program;
use super::{TaskKind, World};
use crate::pipeline::plan::Kind;
use crate::pipeline::task::Builtin;

/// Gives the kind of a task.
#[derive(Debug, Clone)]
pub struct Registry {
    world: World,
}

impl Registry {
    /// Kinds that work in this world.
    pub fn new(world: World) -> Self {
        Self { world }
    }

    /// The world of its kinds.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What performs a task; `None` for commands, groups, and types that nothing here knows.
    pub fn kind(&self, kind: &Kind) -> Option<Box<dyn TaskKind>> {
        let world = || self.world.clone();
        let builtin = match kind {
            Kind::Builtin(builtin) => builtin,
            Kind::Declared { run, expands } => {
                return Some(Box::new(Program::new(world(), Program::words(run), *expands)));
            }
            // It has no declaration that could say whether it makes tasks.
            Kind::Program(path) => return Some(Box::new(Program::new(world(), vec![crate::path::bytes(path)], true))),
            Kind::Group | Kind::Unknown => return None,
        };
        Some(match builtin {
            Builtin::Explode => Box::new(Explode),
            Builtin::ExplodeGlob => Box::new(ExplodeGlob(world())),
            Builtin::FindLatest => Box::new(FindLatest(world())),
            Builtin::HelloWorld => Box::new(HelloWorld),
            Builtin::Noop => Box::new(Noop),
            Builtin::Copy => Box::new(Copy(world())),
            Builtin::CopyMany => Box::new(CopyMany(world())),
            Builtin::Download => Box::new(Download(world())),
            Builtin::Gzip => Box::new(Gzip(world())),
            Builtin::Unzip => Box::new(Unzip(world())),
            Builtin::Command => return None,
        })
    }
}
