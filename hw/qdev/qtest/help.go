package qtest

import (
	"os/exec"
	"strings"
	"testing"

	"goemu/hw/qdev"
)

// CompareHelp fails for each option of the classes that QEMU does not describe in the same words; QEMU may have more options.
func CompareHelp(t *testing.T, classes []*qdev.Class) {
	t.Helper()
	for _, c := range classes {
		out, err := exec.Command("qemu-system-x86_64", "-device", c.Name+",help").Output()
		if err != nil {
			t.Skip("ORACLE MISSING: qemu-system-x86_64: ", err)
		}
		for _, line := range strings.Split(strings.TrimSpace(qdev.Help(c)), "\n")[1:] {
			if !strings.Contains(string(out), line+"\n") {
				t.Errorf("%s: QEMU does not say %q", c.Name, line)
			}
		}
	}
}
