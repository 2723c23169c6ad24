package main

import (
	"fmt"
	"strings"

	"goemu/internal/config"
	"goemu/internal/trace"
)

// openLog applies -d and -D and returns what closes the log.
func openLog(l config.Log) (func(), error) {
	set, bad := trace.Parse(l.Items)
	if bad != "" {
		notice(strings.TrimSuffix(logHelp(), "\n"))
		return nil, fmt.Errorf("-d %s: unknown log item '%s'", l.Items, bad)
	}
	trace.Set(set)
	if err := trace.SetFile(l.File); err != nil {
		return nil, err
	}
	return func() { trace.Set(0); _ = trace.SetFile("") }, nil
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
