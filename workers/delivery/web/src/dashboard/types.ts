// What the API answers (/api/v1/openapi.json has it in full); only what is shown here.

export type StreamState = "live" | "ended" | "offline";
export type Scope = "streams:read" | "broadcasts:write" | "keys:read" | "keys:write" | "tokens:write";

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Me {
  subject: string;
  kind: "kubernetes" | "token";
  /** Of a token of Kubernetes none are known: RBAC says when something is done. */
  scopes: Scope[];
  streams: string[] | null;
}

/** Whether it is worth to offer it. */
export function may(me: Me, scope: Scope): boolean {
  return me.kind === "kubernetes" || me.scopes.includes(scope);
}

export interface StreamItem {
  streamId: string;
  state: StreamState;
  broadcast: string | null;
  viewers: number | null;
  ingressKbps: number | null;
  egressKbps: number | null;
}

export interface StreamStatus {
  streamId: string;
  state: StreamState;
  broadcast: string | null;
  renditions: string[];
  liveEdgeLatencySeconds: number | null;
  viewers: number | null;
  startedAt: string | null;
}

export interface Quality {
  name: string;
  width: number | null;
  height: number | null;
  frameRate: number | null;
  codecs: string | null;
  bandwidth: number | null;
  averageBandwidth: number | null;
}

export interface Broadcast {
  id: string;
  status: string;
  epoch: number;
  keyId: string | null;
  startedAt: string | null;
  endedAt: string | null;
  endReason: string | null;
}

export interface Key {
  id: string;
  name: string;
  broadcaster: string | null;
  source: "spec" | "api";
  createdAt: string;
  expiresAt: string | null;
  revokedAt: string | null;
  lastUsedAt: string | null;
  active: boolean;
}

/** Seen once, when it is made. */
export interface NewKey {
  id: string;
  key: string;
}

/** One second, as the WebSocket tells it. */
export interface Now {
  concurrentViewers: number;
  ingressBitrateMbps: number;
  egressBitrateMbps: number;
  qualityDistribution: Record<string, number>;
  droppedFrames: number;
  bufferingEvents: number;
  at: string;
  partLatencyMs: number | null;
  logLagSeconds: number | null;
}

export interface Point {
  at: string;
  viewers: number | null;
  ingressKbps: number | null;
  egressKbps: number | null;
  quality: Record<string, number> | null;
  droppedFrames: number | null;
  bufferingEvents: number | null;
}

export interface Range {
  from: string;
  to: string;
  stepSeconds: number;
  points: Point[];
}

/** CloudEvents 1.0. */
export interface Happening {
  id: string;
  type: string;
  source: string;
  time: string;
  data: Record<string, unknown>;
}
