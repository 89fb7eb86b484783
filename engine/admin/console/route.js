// Where the page is: #/view?name=value, so that every view can be linked, reloaded and gone back to.

/** The link to a view. */
export function href(view, params = {}) {
  const query = Object.entries(params)
    .filter(([, v]) => v !== undefined && v !== '')
    .map(([k, v]) => `${k}=${encodeURIComponent(v.toWellFormed())}`)
    .join('&');
  return `#/${view === 'overview' ? '' : view}${query && `?${query}`}`;
}

/** The view and params of a location hash. */
export function parse(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  return { view: path || 'overview', params: Object.fromEntries(new URLSearchParams(query)) };
}

/** Changes the params of the view that is shown without showing it anew. */
export function note(view, params) {
  history.replaceState(null, '', href(view, params));
}
