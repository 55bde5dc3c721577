// The page of draw.mjs: each panel at its place, drawn by Grafana's components.
// It uses require: in their modules for import, some dependencies get the wrong export.
const { ThemeContext, createDataFrame, createTheme, dateTime, FieldType, getDisplayProcessor } = require('@grafana/data');
const { BigValue, BigValueColorMode, BigValueGraphMode, BigValueJustifyMode, BigValueTextMode, GlobalStyles, PanelChrome, Table, TimeSeries } = require('@grafana/ui');
const { createRoot } = require('react-dom/client');

const { panels, times, width } = window.run;
const theme = createTheme({ colors: { mode: 'light' } });
const timeRange = { from: dateTime(times.from), to: dateTime(times.to), raw: { from: dateTime(times.from), to: dateTime(times.to) } };
const cell = { width: width / 24, height: 30, gap: 8 };

// legend fills in the labels, as Grafana does.
const legend = (target, labels) => target.legendFormat.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '');

// configOf is the panel's configuration of a field, with the overrides by name.
function configOf(panel, name) {
  const { defaults, overrides = [] } = panel.fieldConfig;
  const config = structuredClone(defaults);
  for (const { matcher, properties } of overrides) {
    const matches = matcher.id === 'byRegexp' ? new RegExp(matcher.options.replace(/^\/|\/$/g, '')).test(name) : matcher.options === name;
    for (const { id, value } of matches ? properties : []) {
      if (id.startsWith('custom.')) config.custom[id.slice('custom.'.length)] = value;
      else config[id] = value;
    }
  }
  return config;
}

function framesOf(panel) {
  const frames = [];
  for (const { target, series } of panel.results) {
    for (const { metric, values } of series) {
      const name = legend(target, metric) || target.expr;
      const config = configOf(panel, name);
      frames.push(createDataFrame({
        refId: target.refId,
        fields: [
          { name: 'Time', type: FieldType.time, values: values.map(([at]) => at * 1000), config: {} },
          {
            name, type: FieldType.number, values: values.map(([, value]) => Number(value)), labels: metric,
            config: {
              color: { mode: 'palette-classic' }, ...config, displayName: name,
              custom: { drawStyle: 'line', lineWidth: 1, axisPlacement: 'auto', spanNulls: 15000, ...config.custom },
            },
          },
        ],
      }));
    }
  }
  return frames.map((frame, i) => {
    frame.fields.forEach((field, j) => {
      field.state = { seriesIndex: i + j - 1, displayName: field.config.displayName };
      field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
    });
    return frame;
  });
}

// valueOf is the last value of a stat, in the color of its threshold.
function valueOf(panel) {
  const last = framesOf(panel)[0]?.fields[1];
  if (!last) return { text: panel.fieldConfig.defaults.noValue ?? 'No data', numeric: NaN, color: theme.colors.text.disabled };
  return last.display(last.values.at(-1));
}

// tableOf shows the labels of an instant query.
function tableOf(panel) {
  const { excludeByName, indexByName } = panel.transformations[0].options;
  const rows = panel.results.flatMap(({ series }) => series.map(({ metric }) => metric));
  const names = Object.keys(indexByName).filter((name) => !excludeByName[name]);
  const frame = createDataFrame({
    fields: names.map((name) => ({ name, type: FieldType.string, values: rows.map((row) => row[name] ?? ''), config: { custom: {} } })),
  });
  for (const field of frame.fields) field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
  return frame;
}

function Content({ panel, inner, height }) {
  if (panel.type === 'table') return <Table data={tableOf(panel)} width={inner} height={height} />;
  if (panel.type === 'stat') {
    return (
      <BigValue value={valueOf(panel)} width={inner} height={height} theme={theme} colorMode={BigValueColorMode.Background}
        graphMode={BigValueGraphMode.None} justifyMode={BigValueJustifyMode.Center} textMode={BigValueTextMode.Value} />
    );
  }
  const frames = framesOf(panel);
  if (frames.length === 0) {
    return <div style={{ textAlign: 'center', paddingTop: height / 2 - 10 }}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
  }
  return <TimeSeries frames={frames} timeRange={timeRange} timeZone="utc" width={inner} height={height} legend={{ calcs: [], ...panel.options.legend }} />;
}

function Panel({ panel }) {
  const { x, y, w, h } = panel.gridPos;
  const size = { width: w * cell.width - cell.gap, height: h * (cell.height + cell.gap) - cell.gap };
  const place = { position: 'absolute', left: x * cell.width + cell.gap / 2, top: y * (cell.height + cell.gap) + cell.gap, ...size };
  if (panel.type === 'row') {
    return <div style={{ ...place, fontWeight: 500, fontSize: 18, paddingTop: 4 }}>{panel.title}</div>;
  }
  return (
    <div style={place}>
      <PanelChrome title={panel.title} description={panel.description} {...size}>
        {(inner, height) => <Content panel={panel} inner={inner} height={height} />}
      </PanelChrome>
    </div>
  );
}

createRoot(document.getElementById('root')).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <div style={{ position: 'relative' }}>{panels.map((panel) => <Panel key={panel.id} panel={panel} />)}</div>
  </ThemeContext.Provider>,
);
