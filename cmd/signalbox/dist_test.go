package main

import (
	"bufio"
	"debug/elf"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"signalbox/engine"
)

// unitSettings reads the settings of the shipped systemd unit.
func unitSettings(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.Open("dist/signalbox.service")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	settings := make(map[string]string)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			settings[name] = value
		}
	}
	return settings
}

// TestUnit holds the shipped unit to what the server needs and the doctor asks for.
func TestUnit(t *testing.T) {
	t.Parallel()
	unit := unitSettings(t)
	stop, err := time.ParseDuration(unit["TimeoutStopSec"])
	if drain := engine.DefaultConfig().DrainTimeout; err != nil || stop < drain+5*time.Second {
		t.Errorf("TimeoutStopSec is %q, want 5 s more than the drain's %v", unit["TimeoutStopSec"], drain)
	}
	h := roomy()
	h.openHard, err = strconv.ParseInt(unit["LimitNOFILE"], 10, 64)
	if d := diagnose(h, 1_000_000); err != nil || d.Verdict != stateOK {
		t.Errorf("with LimitNOFILE=%s the doctor says %s", unit["LimitNOFILE"], d.sentence())
	}
	for name, want := range map[string]string{"Type": "notify", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "User": "signalbox"} {
		if unit[name] != want {
			t.Errorf("%s is %q, want %q", name, unit[name], want)
		}
	}
	args := strings.Fields(unit["ExecStart"])
	if filepath.Base(args[0]) != "signalbox" {
		t.Fatalf("ExecStart runs %s", args[0])
	}
	// Every flag is one that the command knows: what it minds is the file.
	invocation{}.fails(t, args[1:], "no apps file /etc/signalbox/apps.yaml")
}

// TestUnitMayEditKeys: keys are made and revoked by way of a new file beside the
// old one, so the unit's user must be let write to the directory by the commands
// that install it, and by the unit.
func TestUnitMayEditKeys(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("dist/signalbox.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := unitSettings(t)
	install := regexp.MustCompile(`(?m)^# +install -d -m 0(\d)\d\d -o (\S+) -g \S+ (\S+)$`).FindSubmatch(text)
	if install == nil || string(install[1]) != "7" || string(install[2]) != unit["User"] {
		t.Fatalf("got %q, want a directory that is of the user %s", install, unit["User"])
	}
	if got, want := unit["ReadWritePaths"], "-"+string(install[3]); got != want {
		t.Errorf("ReadWritePaths: got %q, want %q", got, want)
	}
}

// TestUnitHasAdminToken runs the command that makes the unit's variables, in
// another directory: the admin address, which anybody on the host can reach, must
// get a token that only root can read, and one that is there must stay.
func TestUnitHasAdminToken(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("dist/signalbox.service")
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(unitSettings(t)["EnvironmentFile"], "-")
	line := regexp.MustCompile(`(?m)^# +(.*SIGNALBOX_ADMIN_TOKEN=.*)$`).FindSubmatch(text)
	if line == nil || !strings.Contains(string(line[1]), name) {
		t.Fatalf("got %q, want a command that puts a token into %s", line, name)
	}
	path := filepath.Join(t.TempDir(), "environment")
	command := strings.ReplaceAll(string(line[1]), name, path)
	var tokens []string
	for range 2 {
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, strings.TrimPrefix(strings.TrimSpace(string(got)), "SIGNALBOX_ADMIN_TOKEN="))
	}
	if len(tokens[0]) < 2*engine.MinAdminToken || tokens[0] != tokens[1] {
		t.Errorf("tokens: got %q, want a long one, the same after the second run", tokens)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info.Mode(), err)
	}
}

// TestUnitIsToldOfReadiness plays the service manager.
func TestUnitIsToldOfReadiness(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	p := start(t, t.TempDir(), []string{"NOTIFY_SOCKET=" + path}, "serve", "--dev", "--listen", "127.0.0.1:0")
	next := func() string {
		buf := make([]byte, 4096)
		if err := manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := manager.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	if got, want := next(), readyWord(p.cmd.Process.Pid); got != want {
		t.Errorf("first word: got %q, want %q", got, want)
	}
	p.signal(syscall.SIGTERM)
	if got := next(); got != "STOPPING=1" {
		t.Errorf("last word: got %q, want STOPPING=1", got)
	}
	if got := p.exit(); got != 0 {
		t.Errorf("exit status: got %d, want 0", got)
	}
}

// readyWord is what the process tells the service manager when it serves.
func readyWord(pid int) string { return "READY=1\nMAINPID=" + strconv.Itoa(pid) }

// hostWith makes a root directory with the shipped kernel settings in place and
// those of the map changed in the kernel.
func hostWith(t *testing.T, changed map[string]string) *host {
	t.Helper()
	root := t.TempDir()
	put := func(name, text string) {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shipped, err := os.ReadFile("dist/90-signalbox.conf")
	if err != nil {
		t.Fatal(err)
	}
	put(dropInFile, string(shipped))
	for line := range strings.Lines(string(shipped)) {
		if name, value, ok := strings.Cut(line, " = "); ok {
			if other, ok := changed[name]; ok {
				value = other
			}
			put("proc/sys/"+strings.ReplaceAll(name, ".", "/"), strings.Join(strings.Fields(value), "\t")+"\n")
		}
	}
	return readHost(root)
}

// TestKernelSettings: with the shipped settings in force the doctor has nothing
// to say of the kernel, and it notices when they are not.
func TestKernelSettings(t *testing.T) {
	t.Parallel()
	for _, c := range diagnose(hostWith(t, nil), 1_000_000).Checks {
		if c.Sysctl != "" || c.Name == "/"+dropInFile && (c.State != stateOK || c.Found != "in force") {
			t.Errorf("%s: %s, %s: %s", c.Name, c.Found, c.State, c.Sysctl)
		}
	}
	d := diagnose(hostWith(t, map[string]string{"net.core.somaxconn": "4096", "fs.nr_open": "4096"}), 1_000_000)
	got := d.check(t, "/"+dropInFile)
	if got.State != stateAdvice || !strings.Contains(got.Note, "fs.nr_open, net.core.somaxconn") || !slices.Contains(got.Commands, "sysctl --system") {
		t.Errorf("not in force: got %+v", got)
	}
	if got := diagnose(roomy(), 1_000_000).check(t, "/"+dropInFile); got.State != stateOK || got.Found != "not there" {
		t.Errorf("without the file: got %+v", got)
	}
}

// TestDockerfile holds the Dockerfile to what it can say only while a container
// is built: that the binary needs nothing beside it, and that its commands and
// variables exist.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("dist/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	dockerfile := string(text)
	for _, want := range []string{"\nFROM scratch\n", "CGO_ENABLED=0 go build", "\nUSER 65532:65532\n", `CMD ["/signalbox", "health"]`} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("the Dockerfile has no %q", want)
		}
	}
	help := invocation{}.ok(t, "serve", "--help")
	for _, variable := range regexp.MustCompile(`SIGNALBOX_[A-Z_]+`).FindAllString(dockerfile, -1) {
		if !strings.Contains(help, "$"+variable+")") {
			t.Errorf("serve has no variable %s", variable)
		}
	}

	static := filepath.Join(t.TempDir(), "signalbox")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w -X main.version=v9.8.7", "-o", static, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := elf.Open(static)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has a %v", p.Type)
		}
	}
	out, err := exec.CommandContext(t.Context(), static, "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "signalbox v9.8.7 ") {
		t.Errorf("version: got %q, %v", out, err)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), nil, "serve", "--dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	admin, _ := p.await("listening")["admin"].(string)
	_, port, err := net.SplitHostPort(admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{admin, ":" + port, "0.0.0.0:" + port, "localhost:" + port} {
		invocation{}.ok(t, "health", "--timeout", patience.String(), "--admin-listen", addr)
		invocation{env: []string{"SIGNALBOX_ADMIN_LISTEN=" + addr}}.ok(t, "health", "--timeout", patience.String(), "--ready")
	}
	p.signal(syscall.SIGTERM)
	if got := p.exit(); got != 0 {
		t.Errorf("exit status: got %d, want 0", got)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nobody there": {[]string{"health", "--admin-listen", deadAddr}, "no answer from " + deadAddr},
		"no port":      {[]string{"health", "--admin-listen", "localhost"}, "missing port"},
		"port 0":       {[]string{"health", "--admin-listen", "localhost:0"}, "names no port"},
		"no patience":  {[]string{"health", "--timeout", "0s"}, "--timeout must be at least 1ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			invocation{}.fails(t, c.args, c.want)
		})
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := (invocation{}).ok(t, "completion", shell, "--code"); !strings.Contains(got, "signalbox") {
			t.Errorf("%s: got %q", shell, got)
		}
	}
	for line, want := range map[string]string{
		"signalbox ser":          "serve",
		"signalbox key re":       "revoke",
		"signalbox serve --max-": "--max-backlog",
	} {
		env := []string{"COMP_LINE=" + line, "COMP_POINT=" + strconv.Itoa(len(line))}
		if got := (invocation{env: env}).run(t); got.status != 0 || !slices.Contains(strings.Fields(got.stdout), want) {
			t.Errorf("%q: got %q, status %d, want %s among them", line, got.stdout, got.status, want)
		}
	}
}
