// Command kubernetes says of each object of a manifest what Kubernetes' API server would say when the object is created
// with strict validation of its fields. It is the server's own code: decoding, defaults, conversion, validation.
//
//	kubernetes < MANIFEST.yaml
//
// It prints a JSON array. The key Baseline has what the level "baseline" of the Pod Security Standards would refuse.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

type verdict struct {
	Kind, Name, Baseline string
	Errors, Warnings     []string
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	decoder := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	reader := yaml.NewYAMLReader(bufio.NewReader(in))
	verdicts := []verdict{}
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return json.NewEncoder(out).Encode(verdicts)
		}
		if err != nil {
			return err
		}
		found, err := judge(decoder, document)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, found)
	}
}

func judge(decoder runtime.Decoder, document []byte) (verdict, error) {
	object, kind, err := decoder.Decode(document, nil, nil)
	if err != nil {
		return verdict{Errors: []string{err.Error()}}, nil
	}
	found := verdict{Kind: kind.Kind}
	if deployment, ok := object.(*appsv1.Deployment); ok {
		if found.Baseline, err = baseline(deployment); err != nil {
			return found, err
		}
	}
	legacyscheme.Scheme.Default(object)
	internal, err := legacyscheme.Scheme.ConvertToVersion(object, runtime.InternalGroupVersioner)
	if err != nil {
		return found, err
	}
	var wrong field.ErrorList
	switch object := internal.(type) {
	case *core.ConfigMap:
		object.Namespace = core.NamespaceDefault
		found.Name = object.Name
		wrong = validation.ValidateConfigMap(object)
	case *apps.Deployment:
		object.Namespace = core.NamespaceDefault
		found.Name = object.Name
		template := &object.Spec.Template
		wrong = appsvalidation.ValidateDeployment(object, pod.GetValidationOptionsFromPodTemplate(template, nil))
		place := field.NewPath("spec", "template")
		found.Warnings = pod.GetWarningsForPodTemplate(context.Background(), place, template, nil)
	default:
		return found, fmt.Errorf("%s is not looked at", kind)
	}
	for _, err := range wrong {
		found.Errors = append(found.Errors, err.Error())
	}
	return found, nil
}

// baseline is what the namespace of a cluster refuses whose pods have to meet that level.
func baseline(deployment *appsv1.Deployment) (string, error) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return "", err
	}
	level := api.LevelVersion{Level: api.LevelBaseline, Version: api.LatestVersion()}
	template := &deployment.Spec.Template
	found := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec))
	return found.ForbiddenDetail(), nil
}
