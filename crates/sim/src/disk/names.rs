//! The names of a disk: directories, and what a power loss may leave of their changes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};

use ottla_env::DirEntry;

use super::pages::Pages;
use crate::draws::Draws;

/// What a name stands for.
pub(super) type Inode = u64;

const ROOT: Inode = 0;

type Names = BTreeMap<(Inode, String), Inode>;

/// A directory tree: the names as everybody sees them, those that are durable, and the changes in
/// between.
#[derive(Debug)]
pub(super) struct Tree {
    inodes: BTreeMap<Inode, Kind>,
    made: Inode,
    names: Names,
    durable: Names,
    pending: Vec<Change>,
    changes: u64,
}

#[derive(Debug)]
enum Kind {
    Directory,
    File(Pages),
}

/// One atomic change: names, and what they stand for afterwards.
#[derive(Debug)]
struct Change {
    /// Counted from 1.
    number: u64,
    names: Vec<(Inode, String, Option<Inode>)>,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            inodes: BTreeMap::from([(ROOT, Kind::Directory)]),
            made: ROOT,
            names: Names::new(),
            durable: Names::new(),
            pending: Vec::new(),
            changes: 0,
        }
    }

    /// The content of a file, which lives as long as the machine does not lose power.
    pub(super) fn pages(&mut self, file: Inode) -> &mut Pages {
        match self.inodes.get_mut(&file) {
            Some(Kind::File(pages)) => pages,
            Some(Kind::Directory) | None => unreachable!("open files are not removed"),
        }
    }

    fn is_dir(&self, inode: Inode) -> bool {
        matches!(self.inodes.get(&inode), Some(Kind::Directory))
    }

    fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut inode = ROOT;
        for component in path.components() {
            match component {
                Component::Normal(name) => {
                    let name = name.to_str().expect("names here are UTF-8").to_owned();
                    inode = *self.names.get(&(inode, name)).ok_or(ErrorKind::NotFound)?;
                }
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => unreachable!("nobody needs these"),
            }
        }
        Ok(inode)
    }

    fn parent_and_name(&self, path: &Path) -> io::Result<(Inode, String)> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        let parent = self.find(path.parent().unwrap_or_else(|| Path::new("")))?;
        if !self.is_dir(parent) {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok((parent, name.to_str().expect("names here are UTF-8").to_owned()))
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<Inode> {
        let inode = self.find(path)?;
        if self.is_dir(inode) { Err(ErrorKind::IsADirectory.into()) } else { Ok(inode) }
    }

    /// Every file, with its length, sorted by path.
    pub(super) fn files(&self) -> Vec<(String, usize)> {
        let mut files = Vec::new();
        let mut open = vec![(ROOT, String::new())];
        while let Some((directory, path)) = open.pop() {
            for (name, child) in self.children(directory) {
                let path = if path.is_empty() { name } else { format!("{path}/{name}") };
                match &self.inodes[&child] {
                    Kind::Directory => open.push((child, path)),
                    Kind::File(pages) => files.push((path, pages.len())),
                }
            }
        }
        files.sort_unstable();
        files
    }

    /// The path of a file that has a name.
    pub(super) fn path_of(&self, file: Inode) -> Option<String> {
        let ((parent, name), _) = self.names.iter().find(|(_, inode)| **inode == file)?;
        if *parent == ROOT {
            return Some(name.clone());
        }
        self.path_of(*parent).map(|directory| format!("{directory}/{name}"))
    }

    /// Whether the file is there still, with or without a name.
    pub(super) fn has(&self, inode: Inode) -> bool {
        self.inodes.contains_key(&inode)
    }

    /// Every file's number and content.
    pub(super) fn all_pages(&self) -> impl Iterator<Item = (Inode, &Pages)> {
        self.inodes.iter().filter_map(|(inode, kind)| match kind {
            Kind::File(pages) => Some((*inode, pages)),
            Kind::Directory => None,
        })
    }

    pub(super) fn make_file(&mut self, path: &Path) -> io::Result<Inode> {
        self.make(path, Kind::File(Pages::default()))
    }

    pub(super) fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        match self.find(path) {
            Ok(inode) if self.is_dir(inode) => return Ok(()),
            Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
        if let Some(parent) = path.parent() {
            self.make_dir(parent)?;
        }
        self.make(path, Kind::Directory).map(drop)
    }

    fn make(&mut self, path: &Path, kind: Kind) -> io::Result<Inode> {
        let (parent, name) = self.parent_and_name(path)?;
        if self.names.contains_key(&(parent, name.clone())) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.made += 1;
        self.inodes.insert(self.made, kind);
        self.change(vec![(parent, name, Some(self.made))]);
        Ok(self.made)
    }

    pub(super) fn rename(&mut self, from: &Path, onto: &Path) -> io::Result<()> {
        let inode = self.find(from)?;
        let (from_parent, from_name) = self.parent_and_name(from)?;
        let (onto_parent, onto_name) = self.parent_and_name(onto)?;
        let replaced = self.names.get(&(onto_parent, onto_name.clone())).copied();
        if replaced == Some(inode) {
            return Ok(());
        }
        if let Some(replaced) = replaced {
            match (self.is_dir(inode), self.is_dir(replaced)) {
                (false, false) => {}
                (true, true) if self.children(replaced).next().is_none() => {}
                (true, true) => return Err(ErrorKind::DirectoryNotEmpty.into()),
                (true, false) => return Err(ErrorKind::NotADirectory.into()),
                (false, true) => return Err(ErrorKind::IsADirectory.into()),
            }
        }
        self.change(vec![(from_parent, from_name, None), (onto_parent, onto_name, Some(inode))]);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.find_file(path)?;
        let (parent, name) = self.parent_and_name(path)?;
        self.change(vec![(parent, name, None)]);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        if !self.is_dir(inode) {
            return Err(ErrorKind::NotADirectory.into());
        }
        self.empty(inode);
        let (parent, name) = self.parent_and_name(path)?;
        self.change(vec![(parent, name, None)]);
        Ok(())
    }

    fn empty(&mut self, directory: Inode) {
        let children: Vec<_> = self.children(directory).collect();
        for (name, child) in children {
            if self.is_dir(child) {
                self.empty(child);
            }
            self.change(vec![(directory, name, None)]);
        }
    }

    fn children(&self, directory: Inode) -> impl Iterator<Item = (String, Inode)> {
        let range = (directory, String::new())..(directory + 1, String::new());
        self.names.range(range).map(|((_, name), inode)| (name.clone(), *inode))
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let inode = self.find(path)?;
        let entry = |(name, child)| match &self.inodes[&child] {
            Kind::Directory => DirEntry { name, is_dir: true, len: 0 },
            Kind::File(pages) => DirEntry { name, is_dir: false, len: pages.len() as u64 },
        };
        match self.is_dir(inode) {
            true => Ok(self.children(inode).map(entry).collect()),
            false => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn change(&mut self, names: Vec<(Inode, String, Option<Inode>)>) {
        self.changes += 1;
        let change = Change { number: self.changes, names };
        apply(&mut self.names, &change);
        self.pending.push(change);
    }

    /// Makes the changes to a directory durable, and with them the earlier ones that they rest on;
    /// nothing else: other file systems promise more, POSIX does not.
    pub(super) fn sync(&mut self, path: &Path) -> io::Result<()> {
        let mut directories = BTreeSet::from([self.find(path)?]);
        let mut durable = Vec::new();
        for index in (0..self.pending.len()).rev() {
            if self.pending[index].names.iter().any(|(parent, ..)| directories.contains(parent)) {
                let change = self.pending.remove(index);
                directories.extend(change.names.iter().map(|(parent, ..)| *parent));
                durable.push(change);
            }
        }
        durable.iter().rev().for_each(|change| apply(&mut self.durable, change));
        Ok(())
    }

    /// Changes of names so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Makes the first `changes` changes durable, of all directories.
    pub(super) fn sync_all(&mut self, changes: u64) {
        let Self { pending, durable, .. } = self;
        let (old, new) = std::mem::take(pending).into_iter().partition(|c| c.number <= changes);
        *pending = new;
        let old: Vec<Change> = old;
        old.iter().for_each(|change| apply(durable, change));
    }

    /// The files of which not everything is on the device.
    pub(super) fn dirty_files(&self) -> impl Iterator<Item = (Inode, &Pages)> {
        self.inodes.iter().filter_map(|(inode, kind)| match kind {
            Kind::File(pages) if !pages.is_durable() => Some((*inode, pages)),
            Kind::File(_) | Kind::Directory => None,
        })
    }

    /// Bytes of all files that have a name.
    pub(super) fn bytes(&self) -> u64 {
        let len = |inode| match &self.inodes[inode] {
            Kind::File(pages) => pages.len() as u64,
            Kind::Directory => 0,
        };
        self.names.values().map(len).sum()
    }

    /// Leaves what a power loss may leave: of the names that were not synced the changes up to some
    /// point, as a journal does, or any of them; and of the files, see [`Pages::lose_power`].
    pub(super) fn lose_power(&mut self, draws: &Draws) -> Vec<(Inode, usize)> {
        let pending = std::mem::take(&mut self.pending);
        let journal_end = draws.index(pending.len() + 1);
        let journals = draws.one_in(2);
        for (index, change) in pending.iter().enumerate() {
            let any = draws.one_in(2);
            if if journals { index < journal_end } else { any } {
                apply(&mut self.durable, change);
            }
        }
        self.names.clone_from(&self.durable);
        self.forget_the_nameless();
        let mut damaged = Vec::new();
        for (inode, kind) in &mut self.inodes {
            if let Kind::File(pages) = kind {
                damaged.extend(pages.lose_power(draws).into_iter().map(|at| (*inode, at)));
            }
        }
        damaged
    }

    fn forget_the_nameless(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(directory) = open.pop() {
            for (_, child) in self.children(directory) {
                if reached.insert(child) && self.is_dir(child) {
                    open.push(child);
                }
            }
        }
        self.inodes.retain(|inode, _| reached.contains(inode));
        self.names.retain(|(parent, _), _| reached.contains(parent));
        self.durable.clone_from(&self.names);
    }
}

fn apply(names: &mut Names, change: &Change) {
    for (parent, name, inode) in &change.names {
        match inode {
            Some(inode) => names.insert((*parent, name.clone()), *inode),
            None => names.remove(&(*parent, name.clone())),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may be found in `dir` after a power loss, over many seeds, each sorted.
    fn left(build: impl Fn(&mut Tree)) -> BTreeSet<Vec<String>> {
        let names = |seed| {
            let mut tree = Tree::new();
            tree.make_dir(Path::new("dir")).unwrap();
            tree.sync(Path::new("")).unwrap();
            build(&mut tree);
            tree.lose_power(&Draws::new(seed, 0, "power"));
            let listed = tree.list(Path::new("dir")).unwrap();
            listed.into_iter().map(|entry| entry.name).collect()
        };
        (0..200).map(names).collect()
    }

    fn check(build: impl Fn(&mut Tree), expected: &[&[&str]]) {
        let expected = expected.iter().map(|names| names.iter().map(|&n| n.to_owned()).collect());
        assert_eq!(left(build), expected.collect());
    }

    fn file(tree: &mut Tree, path: &str) {
        tree.make_file(Path::new(path)).unwrap();
    }

    fn rename(tree: &mut Tree, from: &str, onto: &str) {
        tree.rename(Path::new(from), Path::new(onto)).unwrap();
    }

    fn remove(tree: &mut Tree, path: &str) {
        tree.remove_file(Path::new(path)).unwrap();
    }

    fn sync(tree: &mut Tree) {
        tree.sync(Path::new("dir")).unwrap();
    }

    #[test]
    #[rustfmt::skip]
    fn unsynced_names_may_be_lost_and_synced_ones_stay() {
        check(|t| file(t, "dir/a"),                                                       &[&[], &["a"]]);
        check(|t| { file(t, "dir/a"); sync(t); },                                         &[&["a"]]);
        check(|t| { file(t, "dir/a"); file(t, "dir/b"); },                                &[&[], &["a"], &["a", "b"], &["b"]]);
        check(|t| { file(t, "dir/a"); sync(t); rename(t, "dir/a", "dir/b"); },            &[&["a"], &["b"]]);
        check(|t| { file(t, "dir/a"); sync(t); rename(t, "dir/a", "dir/b"); sync(t); },   &[&["b"]]);
        check(|t| { file(t, "dir/a"); sync(t); remove(t, "dir/a"); },                     &[&[], &["a"]]);
    }

    #[test]
    #[rustfmt::skip]
    fn a_sync_of_everything_covers_what_came_before_it() {
        let sync = |t: &mut Tree, at: u64| t.sync_all(at);
        check(|t| { file(t, "dir/a"); let at = t.changes(); sync(t, at); },                          &[&["a"]]);
        check(|t| { file(t, "dir/a"); let at = t.changes(); file(t, "dir/b"); sync(t, at); },        &[&["a"], &["a", "b"]]);
        check(|t| { file(t, "dir/a"); let at = t.changes(); remove(t, "dir/a"); sync(t, at); },      &[&[], &["a"]]);
        check(|t| { file(t, "dir/a"); rename(t, "dir/a", "dir/b"); let at = t.changes(); sync(t, at); }, &[&["b"]]);
    }

    #[test]
    fn the_sync_of_another_directory_does_not_help() {
        let other = |tree: &mut Tree| {
            file(tree, "dir/a");
            tree.make_dir(Path::new("other")).unwrap();
            tree.sync(Path::new("other")).unwrap();
            tree.sync(Path::new("")).unwrap();
        };
        check(other, &[&[], &["a"]]);
    }
}
