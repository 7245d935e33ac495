# The runtime with the functions of this folder. The workspace, with inbound.db in it, is mounted at /workspace:
#
#   docker build -t my-functions .
#   docker run --rm -v /path/to/session:/workspace my-functions
#
# Who runs it: user `node` (uid 1000), who must be able to write to /workspace. How it ends: SIGTERM, on which it finishes
# or hands back what is running and exits with 0 within 8 seconds; `docker stop` waits 10.
# Another project: `FROM my-functions`, then `COPY functions /app/functions`; or mount it at /app.

FROM node:20-bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 make g++ \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/nanoclaw
# better-sqlite3 is compiled here, against the headers that this image brings: no binary is fetched from elsewhere.
ENV npm_config_build_from_source=true npm_config_nodedir=/usr/local npm_config_update_notifier=false
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund && npm rebuild better-sqlite3
COPY . .
RUN npm run build \
 && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && rm -rf node_modules/better-sqlite3/deps node_modules/better-sqlite3/src \
 && find node_modules/better-sqlite3/build -type f ! -name better_sqlite3.node -delete \
 && chmod +x dist/bin/main.js \
 && node -e "new (require('better-sqlite3'))(':memory:')"

FROM node:20-bookworm-slim
# tini: whatever a killed function leaves behind is inherited by process 1, which has to bury it.
RUN apt-get update \
 && apt-get install -y --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /app /workspace /var/cache/nanoclaw \
 && chown node:node /app /workspace /var/cache/nanoclaw \
 && ln -s /opt/nanoclaw/dist/bin/main.js /usr/local/bin/nanoclaw
COPY --from=build /opt/nanoclaw/package.json /opt/nanoclaw/LICENSE /opt/nanoclaw/
COPY --from=build /opt/nanoclaw/node_modules /opt/nanoclaw/node_modules
COPY --from=build /opt/nanoclaw/dist /opt/nanoclaw/dist
COPY --chown=node:node nanoclaw.config.ts /app/
COPY --chown=node:node functions /app/functions

ENV NODE_ENV=production \
    NANOCLAW_WORKSPACE=/workspace \
    NANOCLAW_CACHE=/var/cache/nanoclaw
WORKDIR /app
USER node
VOLUME /workspace
STOPSIGNAL SIGTERM
# The runtime touches this file each second, idle or waiting for inbound.db included. The heartbeat is for work alone.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD find "$(dirname "${SESSION_OUTBOUND_DB_PATH:-$NANOCLAW_WORKSPACE/outbound.db}")/.runtime.json" -newermt '15 seconds ago' | grep -q .
ENTRYPOINT ["tini", "--", "nanoclaw", "start"]
