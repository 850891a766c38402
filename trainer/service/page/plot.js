// uPlot, which is no module: loaded with the first part of the page that has charts.

export const uPlot = await new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = new URL("vendor/uPlot.js", import.meta.url);
  script.onload = () => resolve(window.uPlot);
  script.onerror = () => reject(new Error("The charts can't be loaded."));
  document.head.append(script);
});
