// What a player page shows.

/** Now, of a page or a frame. */
export async function read(page) {
  return page.evaluate(() => {
    const video = document.querySelector("video");
    const stats = window.millrace.stats();
    return {
      at: Date.now(),
      state: stats.state,
      currentTime: video.currentTime,
      paused: video.paused,
      muted: video.muted,
      volume: video.volume,
      height: video.videoHeight,
      audioBytes: video.webkitAudioDecodedByteCount ?? 0,
      totalFrames: stats.totalFrames,
      droppedFrames: stats.droppedFrames,
      stalls: stats.stalls,
      latencyMs: stats.latencyMs,
      edge: document.querySelector("#golive").dataset.at,
    };
  });
}
