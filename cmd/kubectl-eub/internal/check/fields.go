// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// kinds are the kinds of the API as this plugin knows them.
var kinds = map[string]reflect.Type{
	v1alpha1.EmbeddedUserBatchKind: reflect.TypeFor[v1alpha1.EmbeddedUserBatch](),
	v1alpha1.EmbeddedUserSliceKind: reflect.TypeFor[v1alpha1.EmbeddedUserSlice](),
}

// leaves are structs that JSON has as a text.
var leaves = []reflect.Type{reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.Duration]()}

// knownFields returns the fields of a kind under spec and status, such as "spec.users.username", as this plugin knows them.
func knownFields(kind string) []string {
	fields := make([]string, 0, 64)
	for _, part := range []string{"Spec", "Status"} {
		field, _ := kinds[kind].FieldByName(part)
		fields = append(fields, fieldsOf(field.Type, strings.ToLower(part))...)
	}
	slices.Sort(fields)
	return fields
}

func fieldsOf(of reflect.Type, path string) []string {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || slices.Contains(leaves, of) {
		return nil
	}
	var fields []string
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		below := path + "." + name
		if name == "" {
			below = path // embedded
		} else {
			fields = append(fields, below)
		}
		fields = append(fields, fieldsOf(field.Type, below)...)
	}
	return fields
}

// schema is what this package reads of a schema in OpenAPI.
type schema struct {
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Kinds      []struct {
		Kind string `json:"kind"`
	} `json:"x-kubernetes-group-version-kind"`
}

// servedFields returns the fields of each kind that the API server serves, by kind, from its document in OpenAPI 3.
func servedFields(document []byte) (map[string][]string, error) {
	var openAPI struct {
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(document, &openAPI); err != nil {
		return nil, fmt.Errorf("decoding the API server's schema: %w", err)
	}
	served := map[string][]string{}
	for _, s := range openAPI.Components.Schemas {
		for _, k := range s.Kinds {
			if _, isKnown := kinds[k.Kind]; !isKnown {
				continue
			}
			var fields []string
			for _, part := range []string{"spec", "status"} {
				fields = append(fields, s.Properties[part].fields(part)...)
			}
			slices.Sort(fields)
			served[k.Kind] = fields
		}
	}
	return served, nil
}

func (s schema) fields(path string) []string {
	if s.Items != nil {
		return s.Items.fields(path)
	}
	var fields []string
	for name, property := range s.Properties {
		fields = append(fields, path+"."+name)
		fields = append(fields, property.fields(path+"."+name)...)
	}
	return fields
}

// without returns those of some fields that others lack.
func without(fields, others []string) []string {
	var rest []string
	for _, field := range fields {
		if !slices.Contains(others, field) {
			rest = append(rest, field)
		}
	}
	return rest
}
