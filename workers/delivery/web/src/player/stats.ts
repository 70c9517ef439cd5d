// Figures of a playing session, read when asked.

import { ahead } from "./edge";
import type { Session } from "./session";

export interface Stats {
  state: string;
  /** The broadcast that plays or played. */
  broadcast: string | null;
  /** Program date time of the picture shown against this device's clock; null while none moves. */
  latencyMs: number | null;
  rendition: string | null;
  width: number;
  height: number;
  bitrateKbps: number | null;
  /** What the network gives, as estimated. */
  bandwidthKbps: number | null;
  bufferSeconds: number;
  droppedFrames: number;
  totalFrames: number;
  stalls: number;
}

export function read(session: Session, video: HTMLVideoElement): Stats {
  const hls = session.engine;
  const level = hls && hls.currentLevel >= 0 ? hls.levels[hls.currentLevel] : undefined;
  const quality = video.getVideoPlaybackQuality?.();
  return {
    state: session.state,
    broadcast: session.broadcast,
    latencyMs: latency(session, video),
    rendition: level ? renditionOf(level.url[0] ?? "") : null,
    width: video.videoWidth,
    height: video.videoHeight,
    bitrateKbps: level ? Math.round((level.averageBitrate || level.bitrate) / 1000) : null,
    bandwidthKbps: hls?.bandwidthEstimate ? Math.round(hls.bandwidthEstimate / 1000) : null,
    bufferSeconds: ahead(video),
    droppedFrames: quality?.droppedVideoFrames ?? 0,
    totalFrames: quality?.totalVideoFrames ?? 0,
    stalls: session.stalls,
  };
}

function latency(session: Session, video: HTMLVideoElement): number | null {
  if (session.state !== "live") return null;
  const shown = session.engine?.playingDate?.getTime() ?? nativeDate(video);
  return shown === null ? null : Date.now() - shown;
}

/** Safari's own HLS tells the program date time by `getStartDate`. */
function nativeDate(video: HTMLVideoElement): number | null {
  const start = (video as HTMLVideoElement & { getStartDate?: () => Date }).getStartDate?.();
  const ms = start?.getTime();
  return ms === undefined || Number.isNaN(ms) ? null : ms + video.currentTime * 1000;
}

/** `…/<broadcast>/<rendition>/media.m3u8` → rendition. */
function renditionOf(url: string): string | null {
  return /\/([a-z0-9-]+)\/media\.m3u8/.exec(url)?.[1] ?? null;
}
