import type { ClientMessage } from '@koa-oauth/client';
import type { VNode } from 'preact';

/** Names of the lanes, each in lines. */
const LANES = [['Browser'], ['This app'], ['Authorization', 'server'], ['API']] as const;
const WIDTH = 760;
const LANE_WIDTH = WIDTH / LANES.length;
const HEAD_HEIGHT = 56;
const TOP = HEAD_HEIGHT + 16;
const ROW = 44;

interface Arrow {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

const ARROWS: Readonly<Record<ClientMessage['step'], readonly Arrow[]>> = {
  pushed_authorization_request: [{ from: 1, to: 2, text: 'the request itself' }],
  pushed_authorization_response: [{ from: 2, to: 1, text: 'a name for it' }],
  authorization_request: [
    { from: 1, to: 0, text: '1  go and ask for a code' },
    { from: 0, to: 2, text: 'authorization request' },
  ],
  authorization_response: [
    { from: 2, to: 0, text: '2  go back with the code' },
    { from: 0, to: 1, text: 'code and state' },
  ],
  token_request: [{ from: 1, to: 2, text: '3  code, verifier, secret' }],
  token_response: [{ from: 2, to: 1, text: 'tokens' }],
  refresh_request: [{ from: 1, to: 2, text: 'refresh token' }],
  refresh_response: [{ from: 2, to: 1, text: 'a new access token' }],
};
const API_CALL: readonly Arrow[] = [
  { from: 1, to: 3, text: '4  access token' },
  { from: 3, to: 1, text: 'contacts' },
];

/** Draws the messages of a sign-in, oldest first. The list of `Flow` has the same. */
export function Sequence({ flow }: { flow: readonly ClientMessage[] }): VNode {
  const arrows = [...flow.flatMap(({ step }) => ARROWS[step]), ...API_CALL];
  const height = TOP + arrows.length * ROW + 10;
  return (
    <svg
      class="sequence"
      viewBox={`0 0 ${WIDTH} ${height}`}
      role="img"
      aria-label="The messages between browser, app, authorization server and API, in order"
    >
      {LANES.map((lines, index) => (
        <g key={lines[0]}>
          <line class="lane" x1={center(index)} y1={HEAD_HEIGHT} x2={center(index)} y2={height} />
          <rect class="head" x={center(index) - 90} width={180} height={HEAD_HEIGHT} rx={8} />
          <text class="lane-name" y={HEAD_HEIGHT / 2}>
            {lines.map((line, at) => (
              <tspan
                key={line}
                x={center(index)}
                dy={at > 0 ? '1.1em' : lines.length > 1 ? '-0.2em' : '0.35em'}
              >
                {line}
              </tspan>
            ))}
          </text>
        </g>
      ))}
      {arrows.map(({ from, to, text }, index) => {
        const y = TOP + index * ROW + 26;
        const [start, end] = [center(from), center(to)];
        const tip = end > start ? end - 2 : end + 2;
        const back = end > start ? tip - 9 : tip + 9;
        return (
          <g key={`${index} ${text}`}>
            <line class="message" x1={start} y1={y} x2={tip} y2={y} />
            <path class="tip" d={`M${tip} ${y} L${back} ${y - 5} L${back} ${y + 5} Z`} />
            <text class="message-name" x={(start + end) / 2} y={y - 7}>
              {text}
            </text>
          </g>
        );
      })}
    </svg>
  );
}

function center(lane: number): number {
  return LANE_WIDTH * (lane + 0.5);
}
