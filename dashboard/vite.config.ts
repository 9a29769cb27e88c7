import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Where a running Percapita answers while the dashboard is worked on: `PERCAPITA_URL=http://127.0.0.1:8080 npm run dev`. */
const server = process.env["PERCAPITA_URL"] ?? "http://127.0.0.1:8080";
const proxied = { target: server, changeOrigin: false };
const proxy = { "/v1": proxied, "/openapi.json": proxied };

export default defineConfig({
  // The server rewrites <base href> to its path prefix, so nothing here may name the root.
  base: "./",
  plugins: [react()],
  server: { host: "127.0.0.1", proxy },
  preview: { host: "127.0.0.1", proxy },
  build: {
    target: "es2023",
    // A data: URL is inline content; the policy allows it for images alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
