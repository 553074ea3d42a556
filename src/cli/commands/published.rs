//! What an apply publishes for Airflow: before its jobs what they need, and schedules after them.

use super::super::basis::Basis;
use super::super::failure::Failure;
use super::super::progress::View;
use super::super::publishing::Known;
use super::super::publishing::Place;
use super::super::schedules;
use super::super::state;
use super::ground::Ground;
use super::ground::UNSUBMITTED;
use super::ground::sound;
use crate::apply::airflow::AirflowRunner;
use crate::apply::engine::Report;
use crate::apply::runner::Problem;
use crate::model::ledger::Published;
use crate::plan::contract::Plan;
use crate::schedule;
use crate::schedule::Built;
use crate::schedule::Bundle;

/// What is said of what was found in the way after the last job.
const UNPUBLISHED: &str = "schedules were not published: this would go wrong";

impl Ground<'_> {
    /// Publishes the files of the commit for jobs that Airflow runs, with the commands of this plan,
    /// and the DAGs that run one job each where it has others or none. Gives the name of the index.
    pub(super) fn prepare(
        &self,
        basis: &Basis<'_>,
        plan: &Plan,
        view: &View,
    ) -> Result<Option<String>, Failure> {
        let settings = &self.workspace.settings;
        let (Some(built), Some(location)) = (basis.schedules(), &settings.dags.place) else {
            return Ok(None);
        };
        if !settings.airflow.runs {
            return Ok(None);
        }
        let place = Place::open(location, &self.top)?;
        let known = self.known_at(&place)?;
        self.refuse_foreign(built, &known, view, UNSUBMITTED)?;
        let packed = schedules::packed(self.workspace, built)?;
        let steps = plan.steps.iter().map(|step| (step.id.clone(), schedules::template(step)));
        let (name, index) = schedule::index(built, &packed, steps.collect());
        place.prepare(&packed, schedule::index_key(&name), &index)?;
        if let Some(manifest) = schedule::with_bounded(known.bytes.as_deref(), built, &name) {
            place.publish(&manifest, &known, &|| self.holds())?;
        }
        Ok(Some(name))
    }

    /// The manifest that is published there, which must be one of ours.
    fn known_at(&self, place: &Place) -> Result<Known, Failure> {
        let known = place.manifest()?;
        let applied = self.ledger.schedules.as_ref().map(|it| it.digest.as_str());
        let says = |name| known.says(name).is_some_and(|it| Some(it.as_str()) == applied);
        let ours = says("digest") || says(schedule::OVER);
        let ours = |commit: &str| ours || self.workspace.repository.has(commit);
        place.refuse_others(&self.workspace.env, &known, &ours)?;
        Ok(known)
    }

    /// Nothing is published over DAGs that others have in Airflow. Those that the known manifest has
    /// are ours.
    fn refuse_foreign(
        &self,
        built: &Built,
        known: &Known,
        view: &View,
        refusal: &str,
    ) -> Result<(), Failure> {
        let settings = &self.workspace.settings.airflow;
        if settings.url.is_none() && !settings.runs {
            return Ok(());
        }
        let ours = known.manifest().map(|it| it.dags).unwrap_or_default();
        let new = built.manifest.dags.keys().filter(|id| !ours.contains_key(*id));
        let (env, machine) = (&self.workspace.env, self.machine());
        let airflow = AirflowRunner::new(machine, settings.clone(), env, None);
        match airflow.foreign(new, &self.watch.stop) {
            Ok(problems) => sound(refusal, &problems),
            Err(problem) if settings.runs => sound(refusal, &[problem]),
            // Whoever runs nothing there may not be let in.
            Err(Problem { what, .. }) => {
                view.note(format!("whether others have DAGs of these names is not known: {what}"));
                Ok(())
            }
        }
    }

    /// Whether the lock is held still, as its store knows: what follows is seen by everybody.
    fn holds(&self) -> Result<(), Failure> {
        let lease = self.session.lease;
        if lease.renew().is_err() || !lease.is_held() {
            return Err(state::lost());
        }
        Ok(())
    }

    /// Publishes the schedules once all that they would run is applied: a task that ran a new
    /// content over an old table would archive it.
    pub(super) fn publish(
        &self,
        basis: &Basis<'_>,
        plan: &Plan,
        report: &Report,
        view: &View,
    ) -> Result<Option<Published>, Failure> {
        let differs = plan.schedules.as_ref().is_some_and(|it| !it.is_empty());
        let whole = plan.complete && report.is_complete();
        let held = !report.lost && report.cut_off.is_none() && self.session.lease.is_held();
        let location = self.workspace.settings.dags.place.as_ref();
        let (Some(built), Some(location), Some(_)) = (basis.schedules(), location, &plan.schedules)
        else {
            return Ok(None);
        };
        // Where no DAG differs, the files that all jobs share may: they come with every commit.
        let commit = &self.workspace.pair.head.commit;
        let known = self.ledger.schedules.as_ref().is_some_and(|it| it.commit == *commit);
        let saved = self.asked.file.is_some() && self.asked.resumes.is_none();
        if (saved && !differs) || !whole || !held || self.watch.is_interrupted() {
            return Ok(None);
        }
        let place = Place::open(location, &self.top)?;
        // An apply that did not end well may have left DAGs that nobody asks for any more.
        let left = || place.manifest().is_ok_and(|it| it.says(schedule::OVER).is_some());
        if known && !differs && !left() {
            return Ok(None);
        }
        let packed = schedules::packed(self.workspace, built)?;
        let bundle = Bundle::of(built, &packed);
        // Read before the lock is looked at, so that whoever publishes later is noticed.
        let known = self.known_at(&place)?;
        self.refuse_foreign(built, &known, view, UNPUBLISHED)?;
        // An interrupt ends the asking too, and then nothing is known.
        if self.watch.is_interrupted() {
            return Ok(None);
        }
        let digest = bundle.manifest.digest.clone();
        crate::state::head::keep_schedules(&self.state.objects, &digest, &bundle.json)?;
        place.prepare(&packed, bundle.index_key(), &bundle.index)?;
        place.publish(&bundle.json, &known, &|| self.holds())?;
        Ok(Some(Published {
            digest,
            location: location.clone(),
            commit: commit.clone(),
            run: self.session.run.clone(),
            at: state::date(),
            dags: schedule::fingerprints(&bundle.manifest),
        }))
    }
}
