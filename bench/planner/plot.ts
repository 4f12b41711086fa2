/** One line of a plot: its name and its points. */
export interface Series {
  readonly name: string;
  readonly colour: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Panel {
  readonly title: string;
  readonly yLabel: string;
  readonly isLogY: boolean;
  readonly series: readonly Series[];
}

const WIDTH = 520;
const HEIGHT = 320;
const LEFT = 64;
const BOTTOM = 46;
const TOP = 34;
const RIGHT = 16;

/** Panels beside each other over hosts on a logarithmic axis, as an SVG document. */
export function plot(panels: readonly Panel[]): string {
  const body = panels.map((panel, i) => `<g transform="translate(${i * WIDTH},0)">${drawn(panel)}</g>`).join("\n");
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${panels.length * WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
${body}
</svg>
`;
}

function drawn({ title, yLabel, isLogY, series }: Panel): string {
  const all = series.flatMap((s) => s.points);
  const [x0, x1] = [Math.log10(Math.min(...all.map((p) => p[0]))), Math.log10(Math.max(...all.map((p) => p[0])))];
  const scale = (y: number) => (isLogY ? Math.log10(y) : y);
  const ys = all.map((p) => scale(p[1]));
  const y0 = isLogY ? Math.floor(Math.min(...ys)) : 0;
  const y1 = isLogY ? Math.ceil(Math.max(...ys)) : Math.max(...ys) * 1.1;
  const px = (x: number) => LEFT + ((Math.log10(x) - x0) / Math.max(1e-9, x1 - x0)) * (WIDTH - LEFT - RIGHT);
  const py = (y: number) => HEIGHT - BOTTOM - ((scale(y) - y0) / Math.max(1e-9, y1 - y0)) * (HEIGHT - BOTTOM - TOP);
  const out = [`<text x="${WIDTH / 2}" y="18" text-anchor="middle" font-size="13">${title}</text>`];
  const line = (x: number, y: number, u: number, v: number, colour: string) =>
    out.push(
      `<line x1="${x.toFixed(1)}" y1="${y.toFixed(1)}" x2="${u.toFixed(1)}" y2="${v.toFixed(1)}" stroke="${colour}"/>`,
    );
  line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "black");
  line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, "black");
  for (const x of new Set(all.map((p) => p[0])))
    out.push(`<text x="${px(x).toFixed(1)}" y="${HEIGHT - BOTTOM + 15}" text-anchor="middle">${x}</text>`);
  const steps = isLogY ? Math.max(1, y1 - y0) : 5;
  for (let i = 0; i <= steps; i++) {
    const value = isLogY ? 10 ** (y0 + i) : (y1 * i) / steps;
    line(LEFT, py(value), WIDTH - RIGHT, py(value), "#ddd");
    out.push(
      `<text x="${LEFT - 6}" y="${(py(value) + 4).toFixed(1)}" text-anchor="end">${Number(value.toPrecision(3))}</text>`,
    );
  }
  out.push(`<text x="${WIDTH / 2}" y="${HEIGHT - 10}" text-anchor="middle">hosts</text>`);
  out.push(`<text transform="translate(14,${HEIGHT / 2}) rotate(-90)" text-anchor="middle">${yLabel}</text>`);
  for (const [i, { name, colour, points }] of series.entries()) {
    const path = points.map(([x, y], k) => `${k === 0 ? "M" : "L"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join(" ");
    out.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [x, y] of points)
      out.push(`<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="3" fill="${colour}"/>`);
    out.push(`<text x="${LEFT + 10}" y="${TOP + 14 + 14 * i}" fill="${colour}">${name}</text>`);
  }
  return out.join("\n");
}
