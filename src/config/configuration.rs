//! What a proxy runs: a plan and, where it came from one, its document.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::diagnostics::{Diagnostic, Diagnostics, Severity};
use super::document::Document;
use super::edit::changed;
use super::edits::{Edit, EditError};
use super::load::{Loaded, Surroundings};
use super::plan::{Host, Plan, Server};
use crate::name::ClusterName;

/// What a proxy runs, or is to run.
///
/// Made of a [`Plan`] alone it can be carried out and compared; made of a document it can be shown,
/// edited and kept too.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    plan: Plan,
    /// Where each cluster stands in the plan, and so in a document.
    places: Arc<HashMap<ClusterName, usize>>,
    document: Option<Arc<Document>>,
    /// Its warnings, by what tells one from another while the document changes.
    doubts: Arc<HashSet<String>>,
}

impl From<Plan> for Configuration {
    fn from(plan: Plan) -> Self {
        Self {
            places: places(&plan),
            plan,
            ..Self::default()
        }
    }
}

/// Why an edit was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It makes no sense by itself.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// What would come of it is no configuration.
    #[error("the configuration that would come of it is refused: {}", first(.0))]
    Findings(Diagnostics),
    /// There is no document to edit.
    #[error("the running plan was not made of a document: only the program around it changes it")]
    NoDocument,
}

fn first(diagnostics: &Diagnostics) -> String {
    let mut errors = diagnostics.errors();
    let first = errors.next().map_or_else(String::new, |error| {
        let Diagnostic {
            path,
            message,
            found,
            ..
        } = error;
        let found = found
            .as_ref()
            .map_or_else(String::new, |found| format!(": {found}"));
        format!("{path}: {message}{found}")
    });
    match errors.count() {
        0 => first,
        more => format!("{first} (and {more} more)"),
    }
}

/// What came of edits.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The configuration after them.
    pub configuration: Configuration,
    /// Warnings that it has and the one before had not.
    pub warnings: Vec<Diagnostic>,
}

impl Configuration {
    /// Of what was loaded.
    ///
    /// # Errors
    ///
    /// Everything found, when an error is among it.
    pub fn of(loaded: Loaded, surroundings: &dyn Surroundings) -> Result<Self, Diagnostics> {
        let (Some(plan), Some(document)) = (loaded.plan, loaded.document) else {
            return Err(loaded.diagnostics);
        };
        Ok(Self {
            places: places(&plan),
            plan,
            document: Some(Arc::new(document.settled(surroundings)?)),
            doubts: doubts(&loaded.diagnostics),
        })
    }

    /// Of a document that was running, or kept, before.
    ///
    /// # Errors
    ///
    /// Everything found, when an error is among it.
    pub fn of_document(
        document: &Document,
        surroundings: &dyn Surroundings,
    ) -> Result<Self, Diagnostics> {
        Self::settle(document, surroundings).map(|(configuration, _)| configuration)
    }

    fn settle(
        document: &Document,
        surroundings: &dyn Surroundings,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::default();
        let plan = document.plan("configuration", surroundings, &mut found);
        if found.has_errors() {
            return Err(found);
        }
        let configuration = Self {
            places: places(&plan),
            plan,
            document: Some(Arc::new(document.settled(surroundings)?)),
            doubts: doubts(&found),
        };
        Ok((configuration, found))
    }

    /// The same, where `overrule` decides what concerns the process as a whole.
    #[must_use]
    pub fn overruled(mut self, overrule: impl FnOnce(&mut Server)) -> Self {
        overrule(&mut self.plan.server);
        self
    }

    /// A number that tells this document from another one; it is no defence against forgers.
    #[must_use]
    pub fn digest(&self) -> u64 {
        // FNV-1a: the same on every machine and in every version.
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let text = self
            .document
            .as_ref()
            .map(|document| document.to_json().to_string());
        let bytes = text.iter().flat_map(|text| text.bytes());
        bytes.fold(OFFSET, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        })
    }

    /// What is carried out.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What it was made of, if it was made of a document.
    #[must_use]
    pub fn document(&self) -> Option<&Arc<Document>> {
        self.document.as_ref()
    }

    /// Replaces the hosts of one cluster by what `change` makes of them, in a copy.
    ///
    /// # Errors
    ///
    /// [`Refused`] when no cluster has that name, what `change` refuses, or as [`Self::edited`].
    pub fn with_hosts(
        &self,
        cluster: &ClusterName,
        change: impl FnOnce(Vec<Host>) -> Result<Vec<Host>, String>,
        surroundings: &dyn Surroundings,
    ) -> Result<Self, Refused> {
        let place = self.place_of(cluster.as_str());
        let place = place.ok_or_else(|| EditError::none("cluster", cluster))?;
        let hosts = changed(&self.plan.clusters[place], change).map_err(EditError::NotFound)?;
        let Some(document) = &self.document else {
            let mut next = self.clone();
            next.plan.put_hosts(place, hosts);
            return Ok(next);
        };
        let edit = Edit::hosts(cluster.clone(), &hosts, Some((document, place)));
        self.edited(&[edit], surroundings)
            .map(|edited| edited.configuration)
    }

    /// Edits a copy, one edit after another, and resolves the outcome; `self` stays as it is.
    ///
    /// # Errors
    ///
    /// [`Refused`] by the first edit that makes no sense, or by everything that is wrong in what
    /// came of all.
    pub fn edited(
        &self,
        edits: &[Edit],
        surroundings: &dyn Surroundings,
    ) -> Result<Edited, Refused> {
        let document = self.document.as_ref().ok_or(Refused::NoDocument)?;
        let mut document = Document::clone(document);
        for edit in edits {
            edit.apply(&mut document, |cluster| self.place_of(cluster))?;
        }
        let clusters = edits.iter().map(Edit::only_cluster);
        let settled = match clusters.collect::<Option<BTreeSet<_>>>() {
            Some(clusters) => self.settle_clusters(document, &clusters, surroundings),
            None => Self::settle(&document, surroundings),
        };
        let (configuration, found) = settled.map_err(Refused::Findings)?;
        let warnings = found.of(Severity::Warning);
        let new = warnings.filter(|warning| !self.doubts.contains(&identity(warning)));
        let warnings = new.cloned().collect();
        Ok(Edited {
            configuration,
            warnings,
        })
    }

    /// As [`Self::settle`], where nothing but these clusters is other than it was, or new: only they
    /// are resolved, for no part of a document depends on what is in a cluster.
    fn settle_clusters(
        &self,
        mut document: Document,
        clusters: &BTreeSet<&str>,
        surroundings: &dyn Surroundings,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let places = clusters
            .iter()
            .filter_map(|cluster| document.place_of(cluster, self.place_of(cluster)));
        // New ones stand behind the others, in the order in which they came.
        let places: BTreeSet<_> = places.collect();
        let (mut plan, mut found) = (self.plan.clone(), Diagnostics::default());
        let mut stand = Arc::clone(&self.places);
        let memory = plan.server.metrics.memory;
        for place in places {
            let cluster = document
                .cluster(place, memory, surroundings, &mut found)
                .map(Arc::new);
            match (plan.clusters.get(place), cluster) {
                (Some(before), Some(cluster)) if *before == cluster => {}
                (Some(_), Some(cluster)) => plan.clusters[place] = cluster,
                (None, Some(cluster)) => {
                    Arc::make_mut(&mut stand).insert(cluster.name.clone(), place);
                    plan.clusters.push(cluster);
                }
                (_, None) => {}
            }
        }
        if found.has_errors() {
            return Err(found);
        }
        // A doubt that has gone may stay in it: who brings it back was told before.
        let mut doubts = Arc::clone(&self.doubts);
        let new = found.of(Severity::Warning).map(identity);
        let new: Vec<_> = new.filter(|doubt| !doubts.contains(doubt)).collect();
        if !new.is_empty() {
            Arc::make_mut(&mut doubts).extend(new);
        }
        let configuration = Self {
            plan,
            places: stand,
            document: Some(Arc::new(document)),
            doubts,
        };
        Ok((configuration, found))
    }

    fn place_of(&self, cluster: &str) -> Option<usize> {
        self.places.get(cluster).copied()
    }
}

fn places(plan: &Plan) -> Arc<HashMap<ClusterName, usize>> {
    let places = plan.clusters.iter().enumerate();
    let places = places.map(|(place, cluster)| (cluster.name.clone(), place));
    Arc::new(places.collect())
}

fn doubts(found: &Diagnostics) -> Arc<HashSet<String>> {
    Arc::new(found.of(Severity::Warning).map(identity).collect())
}

/// Without places and indices, which edits move.
fn identity(warning: &Diagnostic) -> String {
    let Diagnostic {
        code,
        path,
        message,
        found,
        ..
    } = warning;
    let path: String = path.chars().filter(|c| !c.is_ascii_digit()).collect();
    format!(
        "{code} {path} {message} {}",
        found.as_deref().unwrap_or_default()
    )
}
