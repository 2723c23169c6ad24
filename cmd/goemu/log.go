package main

import (
	"fmt"
	"strings"

	"goemu/internal/config"
	"goemu/internal/trace"
)

// openLog applies -d and -D and returns what closes the log.
func openLog(l config.Log, traces []config.Options) (func(), error) {
	items, err := enableTraces(l.Items, traces)
	if err != nil {
		return nil, err
	}
	set, bad := trace.Parse(items)
	if bad != "" {
		fmt.Print(logHelp())
		return nil, fmt.Errorf("-d %s: unknown log item '%s'", l.Items, bad)
	}
	trace.Set(set)
	if l.File != "" {
		if err := trace.SetFile(l.File); err != nil {
			return nil, err
		}
	}
	return func() { trace.Set(0); _ = trace.SetFile("") }, nil
}

// enableTraces applies -trace and the items "trace:PATTERN" of -d; it returns the other items.
func enableTraces(items string, traces []config.Options) (string, error) {
	unknown := func(name string) { warn("trace event '" + name + "' does not exist") }
	rest := trace.EnableItems(items, unknown)
	for _, o := range traces {
		if err := trace.Configure(o.Get, unknown); err != nil {
			return "", err
		}
	}
	return rest, nil
}

// logHelp is the answer to -d help.
func logHelp() string {
	var b strings.Builder
	b.WriteString("Log items (comma separated):\n")
	for _, i := range trace.Items {
		fmt.Fprintf(&b, "%-15s %s\n", i.Name, i.Help)
	}
	return b.String()
}
