/** WCAG 2 contrast of two colours, each `#rrggbb` or `rgb(r, g, b)`. */
export function contrast(a: string, b: string): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light! + 0.05) / (dark! + 0.05);
}

export function isHex(color: string): boolean {
  return /^#[0-9a-f]{6}$/i.test(color);
}

function luminance(color: string): number {
  const channels = isHex(color) ? [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)) : [...color.matchAll(/[\d.]+/g)].slice(0, 3).map((match) => Number(match[0]));
  const [red = 0, green = 0, blue = 0] = channels.map((value) => {
    const part = value / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
