// Goemu is a full-system emulator for x86-64 guests, compatible with QEMU 7.2's command line.
package main

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
)

// init keeps the process's first thread for the main goroutine: of a virtual CPU on the thread with the process's number, libvirt
// concludes that CPUs have no threads of their own.
func init() { runtime.LockOSThread() }

func main() {
	if r := toolNamed(progName()); r != nil {
		r.runTool(r.name, os.Args[1:])
	}
	root := &cobra.Command{Use: "goemu [options] [disk_image]", Short: "Run a virtual machine", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(manCommand(root))
	root.AddCommand(toolCommands()...)
	if reported(dispatch(root, os.Args[1:])) != nil {
		os.Exit(1)
	}
}

// dispatch runs a subcommand if the first argument names one; anything else is the system emulator's command line, whose options
// have one dash and are not cobra's.
func dispatch(root *cobra.Command, args []string) error {
	root.InitDefaultCompletionCmd(args...)
	if len(args) > 0 {
		if c, _, err := root.Find(args[:1]); err == nil && c != root {
			return root.Execute()
		}
	}
	return system(progName(), args)
}

// progName is how the program was called.
func progName() string { return filepath.Base(os.Args[0]) }
