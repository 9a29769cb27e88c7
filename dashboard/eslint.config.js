import js from "@eslint/js";
import jsxA11y from "eslint-plugin-jsx-a11y";
import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "src/api/schema.d.ts"] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["eslint.config.js", "scripts/*.mjs", "public/*.js"] } } },
  },
  { files: ["scripts/*.mjs", "public/*.js", "eslint.config.js"], ...tseslint.configs.disableTypeChecked },
  {
    files: ["scripts/*.mjs", "public/*.js"],
    languageOptions: {
      globals: { console: "readonly", process: "readonly", document: "readonly", localStorage: "readonly", URL: "readonly", fetch: "readonly", globalThis: "readonly" },
    },
  },
  {
    files: ["src/**/*.{ts,tsx}"],
    plugins: { "react-hooks": reactHooks, "jsx-a11y": jsxA11y },
    rules: {
      ...reactHooks.configs.recommended.rules,
      ...jsxA11y.flatConfigs.recommended.rules,
      // Numbers are what this program prints.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: false, allowNullish: false }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // An index that was just tested, or a match that the expression guarantees.
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
);
