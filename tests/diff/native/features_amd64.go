package native

import (
	"goemu/internal/hostcpu"
	"goemu/target/x86"
)

// hostFeatures are the features of the host CPU: what it lacks it cannot judge.
var hostFeatures = findHostFeatures()

func findHostFeatures() (f x86.Features) {
	for w := range x86.Words {
		i := &x86.Words[w]
		f[w] = hostcpu.CPUID(i.Leaf, i.Sub)[i.Reg]
	}
	return f
}
