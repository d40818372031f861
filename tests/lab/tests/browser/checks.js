// What can be wrong with a page, as a list of sentences.
(() => {
  const findings = [];
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) findings.push("the page scrolls sideways");
  for (const element of document.querySelectorAll("main *")) {
    const { right, width: own } = element.getBoundingClientRect();
    if (own > 0 && right > width + 1) findings.push(`${name(element)} ends at ${right} of ${width}`);
  }

  for (const svg of document.querySelectorAll(".plot > svg")) {
    const texts = [...svg.querySelectorAll("text")].map((text) => [text, text.getBoundingClientRect()]);
    texts.forEach(([one, a], index) => {
      for (const [other, b] of texts.slice(index + 1)) {
        // Boxes are a little higher than their letters.
        const overlap = a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom;
        if (overlap) findings.push(`${name(svg)}: "${one.textContent.trim()}" is printed over "${other.textContent.trim()}"`);
      }
    });
  }

  const paper = luminance(getComputedStyle(document.body).backgroundColor);
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  if (isDark !== paper < 0.2) findings.push(`the background does not follow the colour scheme: ${paper}`);
  for (const element of document.querySelectorAll("h1, h2, h3, p, b, dt, dd, th, td, svg text")) {
    const style = getComputedStyle(element);
    const ink = luminance(element.tagName === "text" ? style.fill : style.color);
    const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (contrast < 4.5) findings.push(`${name(element)} has a contrast of ${contrast}`);
  }
  return [...new Set(findings)];

  function name(element) {
    const label = element.getAttribute("aria-label") ?? element.textContent.slice(0, 40);
    return `${element.tagName}.${element.getAttribute("class")} "${label}"`;
  }

  function luminance(colour) {
    const [red, green, blue] = colour.match(/\d+/g).map((byte) => {
      const share = byte / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
})();
