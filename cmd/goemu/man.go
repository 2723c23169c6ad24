package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"goemu/internal/cli"
)

// manCommand prints the manual page, made from the option table.
func manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "man", Short: "Print the manual page (goemu man | man -l -)", Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) { fmt.Print(manPage(root)) }}
}

func manPage(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH GOEMU 1\n.SH NAME\ngoemu \\- %s\n.SH SYNOPSIS\n.B %s\n", strings.ToLower(root.Short), root.Use)
	for _, s := range cli.Manual() {
		fmt.Fprintf(&b, ".SH %s\n", strings.ToUpper(strings.TrimSuffix(s.Title, ":")))
		for _, o := range s.Options {
			fmt.Fprintf(&b, ".TP\n.B \\-%s\n.nf\n%s\n.fi\n", o.Name, strings.ReplaceAll(strings.TrimSpace(o.Help), "-", "\\-"))
		}
	}
	return b.String()
}
