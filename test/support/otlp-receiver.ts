import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** A span as it arrived, with its attributes as an object. */
export interface ReceivedSpan {
  readonly service: string;
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

interface KeyValue {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface Scoped {
  readonly spans?: readonly (Omit<ReceivedSpan, 'attributes'> & {
    readonly attributes: readonly KeyValue[];
  })[];
  readonly metrics?: readonly { readonly name: string }[];
}

interface ResourceGroup {
  readonly resource: { readonly attributes: readonly KeyValue[] };
  readonly scopeSpans?: readonly Scoped[];
  readonly scopeMetrics?: readonly Scoped[];
}

const SPAN_KINDS = ['', 'INTERNAL', 'SERVER', 'CLIENT'];

/** A collector of OpenTelemetry, for OTLP over HTTP in JSON. */
export class OtlpReceiver {
  /** Requests so far: path and body. */
  readonly requests: { readonly path: string; readonly body: string }[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param status of each answer; `never`: requests get none */
  static async start(status: number | 'never' = 200): Promise<OtlpReceiver> {
    const server = createServer(async (request, response) => {
      receiver.requests.push({ path: request.url ?? '', body: await text(request) });
      if (status === 'never') return;
      response.writeHead(status, { 'Content-Type': 'application/json' }).end('{"message":"ada"}');
    });
    const receiver = new OtlpReceiver(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  spans(): ReceivedSpan[] {
    return this.#groups('/v1/traces', 'resourceSpans').flatMap(({ resource, scopeSpans = [] }) => {
      const service = String(valuesOf(resource.attributes)['service.name']);
      return scopeSpans.flatMap(({ spans = [] }) =>
        spans.map((span) => ({ ...span, service, attributes: valuesOf(span.attributes) })),
      );
    });
  }

  /** Returns the names of the metrics of a service. */
  metricsOf(service: string): string[] {
    const names = this.#groups('/v1/metrics', 'resourceMetrics')
      .filter(({ resource }) => valuesOf(resource.attributes)['service.name'] === service)
      .flatMap(({ scopeMetrics = [] }) => scopeMetrics.flatMap(({ metrics = [] }) => metrics))
      .map(({ name }) => name);
    return [...new Set(names)].sort();
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await once(this.#server.close(), 'close');
  }

  #groups(path: string, member: string): ResourceGroup[] {
    return this.requests
      .filter((request) => request.path === path)
      .flatMap(({ body }) => JSON.parse(body)[member] as ResourceGroup[]);
  }
}

/** Returns the name of a span's kind. */
export function kindOf({ kind }: ReceivedSpan): string | undefined {
  return SPAN_KINDS[kind];
}

function valuesOf(attributes: readonly KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
