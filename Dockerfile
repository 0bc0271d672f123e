# docker build --build-arg SERVICE=contacts-api --tag contacts-api .
# docker build --build-arg SERVICE=contacts-web --tag contacts-web .
ARG NODE=24

FROM node:${NODE}-slim AS build
WORKDIR /app
COPY . .
RUN npm ci
RUN node scripts/build.mjs packages/contacts-api packages/contacts-web
RUN rm -rf packages/*/src && mkdir data

FROM build AS service
ARG SERVICE
RUN npm ci --omit=dev --workspace=packages/$SERVICE
RUN echo "import './packages/$SERVICE/dist/main.js';" > main.mjs

# Nothing runs while this one is built, and no shell when it serves.
FROM node:${NODE}-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY --from=service /app/packages packages
COPY --from=service /app/node_modules node_modules
COPY --from=service /app/main.mjs .
COPY --from=service --chown=node:node /app/data data
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "main.mjs"]
