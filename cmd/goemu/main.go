// Goemu is a full-system emulator for x86-64 guests, compatible with QEMU 7.2's command line.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use: "goemu [options] [disk_image]", Short: "Run a virtual machine", SilenceUsage: true, SilenceErrors: true,
		DisableFlagParsing: true, Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error { return system(progName(), args) },
	}
	root.AddCommand(manCommand(root))
	if err := root.Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", progName(), err)
		os.Exit(1)
	}
}

// progName is how the program was called.
func progName() string { return filepath.Base(os.Args[0]) }
