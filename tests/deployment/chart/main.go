// Renders the Helm chart with Helm's own packages, and reads manifests with Kubernetes' own types, where a
// field that does not exist is an error. What `helm template` and a dry run against a cluster would
// find, without a cluster, and with a small part of what Helm and kubectl need to be built.
//
//	chart render [-release NAME] [-namespace NAME] CHART [VALUES.yaml ...]   YAML on stdout
//	chart notes  [-release NAME] [-namespace NAME] CHART [VALUES.yaml ...]   NOTES.txt
//	chart read   [FILE ...]                                                  an array of JSON on stdout
//	chart version
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	labels "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	sigs "sigs.k8s.io/yaml"
)

// Set by the script that builds it, so that one of other sources is not taken from the cache.
var version = "unknown"

// render gives the text that each template becomes, by its file's name. Values that the chart's schema
// refuses are an error, as they are for Helm.
func render(folder, release, namespace string, valueFiles []string) (map[string]string, error) {
	chart, err := loader.Load(folder)
	if err != nil {
		return nil, err
	}
	if err := chart.Validate(); err != nil {
		return nil, err
	}
	values := map[string]any{}
	for _, file := range valueFiles {
		later, err := chartutil.ReadValuesFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		values = chartutil.CoalesceTables(later, values)
	}
	options := chartutil.ReleaseOptions{
		Name: release, Namespace: namespace, Revision: 1, IsInstall: true,
	}
	all, err := chartutil.ToRenderValues(chart, values, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for name, text := range rendered {
		if strings.Contains(text, "<no value>") {
			return nil, fmt.Errorf("%s: a value is missing", name)
		}
		texts[path.Base(name)] = strings.TrimSpace(text) + "\n"
	}
	return texts, nil
}

func printManifests(texts map[string]string) {
	names := []string{}
	for name, text := range texts {
		if path.Ext(name) == ".yaml" && strings.TrimSpace(text) != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("---\n# Source: %s\n%s", name, texts[name])
	}
}

// check reads one document as the API server does: into the type that it says it is.
func check(document []byte, types *runtime.Scheme) (json.RawMessage, error) {
	decoder := serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, types, types,
		serializer.SerializerOptions{Yaml: true, Strict: true})
	object, kind, err := decoder.Decode(document, nil, nil)
	if err != nil {
		return nil, err
	}
	about, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	where := field.NewPath("metadata")
	faults := labels.ValidateLabels(about.GetLabels(), where.Child("labels"))
	faults = append(faults,
		validation.ValidateAnnotations(about.GetAnnotations(), where.Child("annotations"))...)
	for _, fault := range validation.NameIsDNSSubdomain(about.GetName(), false) {
		faults = append(faults, field.Invalid(where.Child("name"), about.GetName(), fault))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%s: %w", kind.Kind, faults.ToAggregate())
	}
	return sigs.YAMLToJSON(document)
}

func read(source io.Reader, types *runtime.Scheme) ([]json.RawMessage, error) {
	found := []json.RawMessage{}
	documents := yaml.NewYAMLReader(bufio.NewReader(source))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if content, err := sigs.YAMLToJSON(document); err == nil && bytes.Equal(content, []byte("null")) {
			continue // comments alone
		}
		object, err := check(document, types)
		if err != nil {
			return nil, err
		}
		found = append(found, object)
	}
}

func readAll(files []string) error {
	types := scheme.Scheme
	if err := monitoring.AddToScheme(types); err != nil {
		return err
	}
	all := []json.RawMessage{}
	for _, file := range files {
		source, err := os.Open(file)
		if err != nil {
			return err
		}
		found, err := read(source, types)
		source.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, found...)
	}
	if len(files) == 0 {
		found, err := read(os.Stdin, types)
		if err != nil {
			return err
		}
		all = found
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("render, notes, read or version?")
	}
	options := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	release := options.String("release", "mqtt-to-blob", "the release's name")
	namespace := options.String("namespace", "default", "the release's namespace")
	if err := options.Parse(arguments[1:]); err != nil {
		return err
	}
	switch arguments[0] {
	case "version":
		fmt.Println("mqtt-to-blob chart", version)
		return nil
	case "read":
		return readAll(options.Args())
	case "render", "notes":
		if options.NArg() == 0 {
			return errors.New("which chart?")
		}
		texts, err := render(options.Arg(0), *release, *namespace, options.Args()[1:])
		if err != nil {
			return err
		}
		if arguments[0] == "notes" {
			fmt.Print(texts["NOTES.txt"])
		} else {
			printManifests(texts)
		}
		return nil
	}
	return fmt.Errorf("unknown: %s", arguments[0])
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}
