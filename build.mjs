// Bundles what browsers load: every file directly in static/src is an entry, its bundle appears under the same name in static/built.
// What an entry imports only when it is needed (charts, the map) becomes a part of its own, named by its content.
import { mkdir, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const folder = join(dirname(fileURLToPath(import.meta.url)), "src/entrepot/surfaces/web/static");
const files = (await readdir(join(folder, "src"), { withFileTypes: true })).filter((entry) => entry.isFile());

await rm(join(folder, "built"), { recursive: true, force: true });
await mkdir(join(folder, "built"));
await build({
  entryPoints: files.map((file) => join(folder, "src", file.name)),
  outdir: join(folder, "built"),
  bundle: true,
  minify: true,
  sourcemap: "linked",
  format: "esm",
  splitting: true,
  chunkNames: "part-[hash]",
  target: "es2022",
  legalComments: "eof",
  loader: { ".svg": "file", ".woff2": "file" },
  logLevel: "warning",
});
console.log(`built ${files.length} bundle(s)`);
