"""HTTP: parse, call, render. Endpoints hold no rules; `errors` is the only place that knows status codes."""
