package x86

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// everything is a set of features with all bits on.
func everything() *Features {
	f := new(Features)
	for w := range f {
		f[w] = ^uint32(0)
	}
	return f
}

func mustFeature(t *testing.T, name string) Feature {
	t.Helper()
	f, ok := FeatureByName(name)
	require.True(t, ok, name)
	return f
}

func TestNamedModels(t *testing.T) {
	for _, n := range namedModels {
		m := FindModel(n.name)
		require.NotNil(t, m, n.name)
		for f := range strings.FieldsSeq(n.features) {
			_, ok := FeatureByName(f)
			require.True(t, ok, "%s: unknown feature %s", n.name, f)
		}
	}
	cfg, warn, err := ParseOption("Skylake-Client,-avx2,+la57,family=7", everything(), "TCG")
	require.NoError(t, err)
	require.Empty(t, warn)
	require.False(t, cfg.Features.Has(mustFeature(t, "avx2")))
	require.Equal(t, 7, cfg.Model.Family)
	require.True(t, cfg.Features.Has(mustFeature(t, "la57")))
}

func TestOptionErrors(t *testing.T) {
	for opt, want := range map[string]string{
		"nosuch":               "unable to find CPU model 'nosuch'",
		"qemu64,+foo":          "Property 'qemu64-x86_64-cpu.foo' not found",
		"qemu64,foo":           "can't apply global qemu64-x86_64-cpu.foo=on: Property 'qemu64-x86_64-cpu.foo' not found",
		"qemu64,migratable=on": "can't apply global qemu64-x86_64-cpu.migratable=on: Property 'qemu64-x86_64-cpu.migratable' not found",
		"qemu64,avx2=foo":      "can't apply global qemu64-x86_64-cpu.avx2=foo: Parameter 'avx2' expects 'on' or 'off'",
		"qemu64,level=foo":     "can't apply global qemu64-x86_64-cpu.level=foo: Parameter 'level' expects uint64",
		"qemu64,vendor=x":      "can't apply global qemu64-x86_64-cpu.vendor=x: Property '.vendor' doesn't take value 'x'",
		"qemu64,phys-bits=99":  "phys-bits should be between 32 and 52  (but is 99)",
	} {
		_, _, err := ParseOption(opt, everything(), "TCG")
		require.EqualError(t, err, want)
	}
	_, warn, err := ParseOption("Skylake-Client", &Features{}, "TCG")
	require.NoError(t, err)
	require.Contains(t, warn, "TCG doesn't support requested feature: CPUID.01H:ECX.pcid [bit 17]")
	_, _, err = ParseOption("Skylake-Client,enforce", &Features{}, "TCG")
	require.Error(t, err)
}

// TestHelpAsQEMU: every model that QEMU lists is listed in the same words, but for those that need other accelerators.
func TestHelpAsQEMU(t *testing.T) {
	qemu := testprog.QEMU(t)
	out, err := exec.Command(qemu, "-cpu", "help").Output()
	require.NoError(t, err)
	ours := ModelsHelp()
	for l := range strings.SplitSeq(string(out), "\n") {
		if strings.HasPrefix(l, "x86 ") && !strings.HasPrefix(l, "x86 host ") && !strings.HasPrefix(l, "x86 base ") {
			require.Contains(t, ours, strings.TrimRight(l, " "))
		}
	}
}

// TestMixedSpellings: -f beats +f, both beat f=on, whatever their order; mixing them is worth a warning.
func TestMixedSpellings(t *testing.T) {
	cfg, warn, err := ParseOption("pentium,-fpu,+fpu,-mce,mce=on,+cx8,cx8=off,+sse4_1,sse4_2=on", everything(), "TCG")
	require.NoError(t, err)
	for name, want := range map[string]bool{"fpu": false, "mce": false, "cx8": true, "sse4.1": true, "sse4.2": true} {
		require.Equal(t, want, cfg.Features.Has(mustFeature(t, name)), name)
	}
	require.Equal(t, []string{`Ambiguous CPU model string. Don't mix both "-mce" and "mce=on"`, `Ambiguous CPU model string. Don't mix both "+cx8" and "cx8=off"`}, warn)
}

// TestRaisedLevels: features make their leaves reachable, even those that the accelerator lacks, unless the user has set the last leaf.
func TestRaisedLevels(t *testing.T) {
	for opt, want := range map[string][3]uint32{
		"486":                              {1, 0, 0},
		"486,arat=on":                      {6, 0, 0},
		"phenom,xsaveopt=on":               {0xd, 0x8000001a, 0},
		"phenom,xstore=on":                 {5, 0x8000001a, 0xc0000001},
		"486,svm=on":                       {1, 0x8000000a, 0},
		"486,level=2,arat=on,fsgsbase=on":  {2, 0, 0},
		"486,xlevel=0x80000002,svm=on":     {1, 0x80000002, 0},
		"486,xlevel2=0xc0000002,xstore=on": {1, 0, 0xc0000002},
	} {
		cfg, _, err := ParseOption(opt, &Features{}, "TCG")
		require.NoError(t, err, opt)
		require.Equal(t, want, [3]uint32{cfg.Level, cfg.XLevel, cfg.XLevel2}, opt)
	}
}
