// Loaded by every page.

import "./forms.js";
import "./settings.js";
import { bindMenus } from "./menu.js";

bindMenus();
