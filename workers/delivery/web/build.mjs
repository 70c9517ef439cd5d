// Bundles the pages into dist/: scripts and styles under assets/ with their
// content's hash in the name (so they can be cached for ever), and each page
// with those names ({{name}}) and what it shares with others ({{>part}}) filled in.
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(here, "dist");

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });

const result = await build({
  absWorkingDir: here,
  entryPoints: [
    "src/landing/landing.ts",
    "src/landing/landing.css",
    "src/player/player.ts",
    "src/player/player.css",
    "src/dashboard/dashboard.ts",
    "src/dashboard/dashboard.css",
  ],
  outdir: "dist/assets",
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "eof",
  metafile: true,
  logLevel: "warning",
});

// src/player/player.ts -> player.js -> /assets/player-ABCD1234.js
const names = new Map();
for (const [output, { entryPoint }] of Object.entries(result.metafile.outputs)) {
  if (!entryPoint) continue;
  const { name } = path.parse(entryPoint);
  names.set(name + path.extname(output), `/assets/${path.basename(output)}`);
}

const read = (...where) => readFile(path.join(here, ...where), "utf8");
const parts = new Map();
for (const part of await readdir(path.join(here, "parts"))) parts.set(part, await read("parts", part));

for (const page of await readdir(path.join(here, "pages"))) {
  const find = (from, name) => {
    const found = from.get(name);
    if (found === undefined) throw new Error(`pages/${page} names ${name}, which is not there`);
    return found;
  };
  const whole = (await read("pages", page)).replace(/\{\{>([^}]+)\}\}\n?/g, (_, name) => find(parts, name));
  const filled = whole.replace(/\{\{([^}]+)\}\}/g, (_, name) => find(names, name));
  await writeFile(path.join(dist, page), filled);
}
