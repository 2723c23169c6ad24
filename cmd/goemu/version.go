package main

import (
	"fmt"
	"runtime/debug"
)

// compatVersion is the QEMU version whose interfaces goemu has.
const compatVersion = "7.2.22"

// versionText is the answer to -version: QEMU's line form, which scripts parse, and goemu's own revision.
func versionText() string {
	rev := "unknown"
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, s := range bi.Settings {
			if s.Key == "vcs.revision" {
				rev = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return fmt.Sprintf("QEMU emulator version %s (goemu %s)\n", compatVersion, rev)
}
