// Bundles the pages into dist/: scripts and styles under assets/ with their
// content's hash in the name (so they can be cached for ever), and each page
// with those names filled in.
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
  entryPoints: ["src/watch.ts", "src/landing.ts", "src/style.css"],
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

// src/watch.ts -> watch.js -> /assets/watch-ABCD1234.js
const names = new Map();
for (const [output, { entryPoint }] of Object.entries(result.metafile.outputs)) {
  if (!entryPoint) continue;
  const { name } = path.parse(entryPoint);
  names.set(name + path.extname(output), `/assets/${path.basename(output)}`);
}

for (const page of await readdir(path.join(here, "pages"))) {
  const html = await readFile(path.join(here, "pages", page), "utf8");
  const filled = html.replace(/\{\{([^}]+)\}\}/g, (_, name) => {
    const url = names.get(name);
    if (!url) throw new Error(`pages/${page} names ${name}, which is not built`);
    return url;
  });
  await writeFile(path.join(dist, page), filled);
}
