//! An immutable picture of one broadcast: what is published, and the playlists
//! and the manifest that say so. A change makes a new view; unchanged renditions are shared.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use millrace_media::dash;
use millrace_media::hls::{self, Report, Window};
use millrace_media::id::{BroadcastId, Msn, RenditionName};
use millrace_media::published::{BroadcastInfo, Entry, RenditionKind};

use super::playlist::Playlist;

/// Which form of a media playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// All segments.
    Full,
    /// The old ones skipped (RFC 8216bis §4.4.5.2).
    Delta,
}

/// One broadcast at one moment.
#[derive(Debug)]
pub struct View {
    /// Its facts.
    pub info: Arc<BroadcastInfo>,
    windows: BTreeMap<RenditionName, Arc<Window>>,
    multivariant: Arc<OnceLock<Playlist>>,
    manifest: Arc<OnceLock<Option<Playlist>>>,
    written: BTreeMap<RenditionName, [OnceLock<Playlist>; 2]>,
}

impl View {
    /// A broadcast of which nothing is known to be published.
    pub fn new(info: BroadcastInfo) -> Self {
        let renditions = info.renditions.iter();
        let windows = renditions
            .map(|rendition| (rendition.name.clone(), Arc::new(Window::new(&info, rendition))))
            .collect();
        Self::of(Arc::new(info), windows)
    }

    fn of(info: Arc<BroadcastInfo>, windows: BTreeMap<RenditionName, Arc<Window>>) -> Self {
        let written = windows.keys().map(|name| (name.clone(), Default::default())).collect();
        let (multivariant, manifest) = Default::default();
        Self { info, windows, multivariant, manifest, written }
    }

    /// The view after these entries; none if they change nothing.
    #[must_use]
    pub fn after<'e>(
        &self,
        entries: impl IntoIterator<Item = (&'e RenditionName, &'e Entry)>,
    ) -> Option<Self> {
        let mut windows = self.windows.clone();
        let mut changed = false;
        for (name, entry) in entries {
            if let Some(window) = windows.get_mut(name)
                && window.last_id().is_none_or(|last| entry.id() > last)
            {
                // Also where the playlist stays the same: its place in the
                // log moves on.
                Arc::make_mut(window).apply(entry);
                changed = true;
            }
        }
        changed.then(|| {
            let mut next = Self::of(Arc::clone(&self.info), windows);
            next.multivariant = Arc::clone(&self.multivariant);
            if next.listed().eq(self.listed()) {
                next.manifest = Arc::clone(&self.manifest);
            }
            next
        })
    }

    /// All that a manifest goes by: complete segments never change, nor the
    /// first part of one that grows.
    fn listed(&self) -> impl Iterator<Item = (Option<(Msn, Msn)>, Option<Msn>, bool)> {
        self.windows.values().map(|window| {
            let growing = window.open().first().map(|part| part.msn);
            (window.complete_range(), growing, window.ended())
        })
    }

    /// The view with every rendition ended where it stands; none if they are.
    #[must_use]
    pub fn ended(&self) -> Option<Self> {
        let ends: Vec<_> = self
            .windows
            .iter()
            .filter(|(_, window)| !window.ended())
            .map(|(name, window)| {
                let last = window.last_id().map(|(msn, _)| Msn(msn));
                (name, Entry::End { msn: last.map_or(Msn(0), Msn::next) })
            })
            .collect();
        self.after(ends.iter().map(|(name, end)| (*name, end)))
    }

    /// Whether older segments of some rendition are missing in its list.
    pub fn is_short(&self) -> bool {
        self.windows.values().any(|window| window.is_short())
    }

    /// The broadcast's id.
    pub fn broadcast(&self) -> BroadcastId {
        self.info.broadcast
    }

    /// The rendition of this name.
    pub fn window(&self, name: &RenditionName) -> Option<&Window> {
        self.windows.get(name).map(Arc::as_ref)
    }

    /// Every rendition's name and state.
    pub fn windows(&self) -> impl Iterator<Item = (&RenditionName, &Window)> {
        self.windows.iter().map(|(name, window)| (name, window.as_ref()))
    }

    /// EXT-X-TARGETDURATION of its playlists, seconds.
    pub fn target_duration(&self) -> u64 {
        let told = self.windows.values().map(|window| window.target_duration()).max();
        told.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1)
    }

    /// Whether all renditions ended.
    pub fn has_ended(&self) -> bool {
        self.windows.values().all(|window| window.ended())
    }

    /// Wall clock in ms at the end of the top rung's last media.
    pub fn edge_ms(&self) -> Option<i64> {
        let is_video = |kind: &RenditionKind| matches!(kind, RenditionKind::Video { .. });
        let top = self.info.renditions.iter().rfind(|r| is_video(&r.kind));
        let top = top.or(self.info.renditions.last())?;
        self.window(&top.name)?.edge_ms()
    }

    /// The multivariant playlist; written once.
    pub fn multivariant(&self) -> Playlist {
        self.multivariant.get_or_init(|| Playlist::new(hls::multivariant(&self.info, None))).clone()
    }

    /// The DASH manifest; written once, when `on_write` is called. None before
    /// a first segment.
    pub fn manifest(&self, on_write: impl FnOnce()) -> Option<Playlist> {
        let write = || {
            on_write();
            let renditions = self.info.renditions.iter();
            let listed: Vec<_> =
                renditions.filter_map(|r| Some((r, self.windows.get(&r.name)?.as_ref()))).collect();
            dash::manifest(&self.info, &listed).map(Playlist::new)
        };
        self.manifest.get_or_init(write).clone()
    }

    /// A rendition's playlist; written once per view and form. `on_write` is
    /// called when it is.
    pub fn playlist(
        &self,
        name: &RenditionName,
        form: Form,
        on_write: impl FnOnce(),
    ) -> Option<Playlist> {
        let (window, rendition) = (self.windows.get(name)?, self.info.rendition(name)?);
        let [full, delta] = self.written.get(name)?;
        let written = match form {
            Form::Full => full,
            Form::Delta => delta,
        };
        let write = || {
            on_write();
            let others = self.windows.iter().filter(|(other, _)| *other != name);
            let reports: Vec<_> = others
                .filter_map(|(rendition, other)| Some(Report { rendition, last: other.last()? }))
                .collect();
            let skip = form == Form::Delta;
            Playlist::new(hls::media_playlist(&self.info, rendition, window, &reports, skip))
        };
        Some(written.get_or_init(write).clone())
    }
}
