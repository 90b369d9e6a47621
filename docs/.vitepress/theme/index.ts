/// <reference types="vitepress/client" />
import DefaultTheme from 'vitepress/theme'
// oxlint-disable-next-line import/no-unassigned-import -- a style sheet
import './site.css'

export default DefaultTheme
