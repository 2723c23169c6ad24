package main

import (
	"fmt"
	"os"
	"strings"

	"goemu/internal/config"
	"goemu/internal/trace"
)

// openLog applies -d and -D and returns what closes the log.
func openLog(l config.Log) (func(), error) {
	set, bad := trace.Parse(l.Items)
	if bad != "" {
		fmt.Fprint(os.Stderr, logHelp())
		return nil, fmt.Errorf("-d %s: unknown log item '%s'", l.Items, bad)
	}
	trace.Set(set)
	if l.File == "" {
		return func() {}, nil
	}
	f, err := os.Create(l.File)
	if err != nil {
		return nil, fmt.Errorf("Error opening logfile %s: %s", l.File, reason(err))
	}
	trace.SetOutput(f)
	return func() { trace.Set(0); f.Close() }, nil
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
